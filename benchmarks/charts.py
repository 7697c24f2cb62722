"""Charts of the experiments, by matplotlib: panels side by side, with points, lines with bands, and histograms."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scarlet_tf.training.pictures import write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # differ in lightness as well as in hue
_MARKERS = ("o", "s", "^", "D", "v", "P")


def new_chart(
    title: str, panels: Sequence[tuple[str, str, str]], *, width: float = 4.2, height: float = 3.8
) -> tuple[Figure, list[Axes]]:
    """Return a chart and its panels, from left to right.

    Args:
        panels: for each its title, its x label and its y label.
        width, height: of a panel, in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * len(panels), height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.04)
    figure.suptitle(title, fontsize=11)
    row = list(figure.subplots(1, len(panels), squeeze=False)[0])
    for axes, (name, x_label, y_label) in zip(row, panels, strict=True):
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(x_label, fontsize=9)
        axes.set_ylabel(y_label, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    return figure, row


def draw_points(axes: Axes, x: Sequence[float], y: Sequence[float], *, label: str) -> None:
    """Draw a point for each (x, y)."""
    check_finite(axes.get_title(), x, y)
    number = _drawn(axes)
    marker = _MARKERS[number % len(_MARKERS)]
    axes.plot(x, y, marker, color=COLOURS[number % len(COLOURS)], markersize=5, alpha=0.75, label=label)


def draw_band(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    *,
    low: Sequence[float],
    high: Sequence[float],
    label: str,
) -> None:
    """Draw a line through (x, y), with a band from low to high."""
    check_finite(axes.get_title(), x, y, low, high)
    number = _drawn(axes)
    colour, marker = COLOURS[number % len(COLOURS)], _MARKERS[number % len(_MARKERS)]
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, y, color=colour, marker=marker, markersize=4, label=label)


def draw_histogram(
    axes: Axes, edges: Sequence[float], heights: Sequence[float], *, label: str, series: int | None = None
) -> None:
    """Draw a histogram: heights[i] between edges[i] and edges[i + 1].

    Args:
        series: number of the series, which chooses its colour; None: how many the panel has. Give it where panels
            have different series.
    """
    check_finite(axes.get_title(), edges, heights)
    colour = COLOURS[(_drawn(axes) if series is None else series) % len(COLOURS)]
    axes.stairs(heights, edges, color=colour, fill=True, alpha=0.2)
    axes.stairs(heights, edges, color=colour, linewidth=1.5, label=label)


def add_legend(figure: Figure) -> None:
    """Add a legend below the panels, which all show the series of the first one."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9)


def check_finite(panel: str, *values: Sequence[float]) -> None:
    """Raise ValueError if there is nothing to draw in a panel, or something that is not a finite number."""
    for array in values:
        if not np.size(array) or not np.isfinite(array).all():
            raise ValueError(f"panel {panel!r} needs finite numbers to draw, got {np.asarray(array).tolist()}")


def write_chart(path: str | os.PathLike, figure: Figure) -> None:
    """Write `path`.svg and `path`.png."""
    for ending in (".svg", ".png"):
        write_figure(f"{path}{ending}", figure)


def _drawn(axes: Axes) -> int:
    """Return the number of series that a panel shows so far."""
    return len(axes.get_legend_handles_labels()[1])
