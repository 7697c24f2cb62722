"""Plots of a run: its curves and its confusion matrix. matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scarlet_tf.files import write_atomically
from scarlet_tf.paths import as_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}  # metadata
_NUMBERED = 15  # largest number of classes for which the cells of a confusion matrix show their numbers
_NAMED = 60  # largest number of classes for which rows and columns show class names
_NAME_LENGTH = 24


def draw_confusion(confusion: Sequence[Sequence[int]], *, class_names: Sequence[str]) -> Figure:
    """Draw a confusion matrix, with each row as shares of its true class.

    Cells show their number of images for up to 15 classes. Axes show class names for up to 60 classes, else labels.

    Args:
        confusion: number of images by true class (row) and predicted class (column).
        class_names: in label order.
    """
    from matplotlib.colors import PowerNorm

    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes = len(class_names)
    side = float(np.clip(2.5 + 0.35 * classes, 4.5, 16.0))
    figure = _new_figure(side * 1.1, side)
    axes = figure.add_subplot()
    # Where cells show no numbers, those of a few percent should still be visible.
    norm = PowerNorm(1.0 if classes <= _NUMBERED else 0.5, vmin=0.0, vmax=1.0)
    image = axes.imshow(shares, cmap="Blues", norm=norm, interpolation="nearest")
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{counts.sum():,} images, top-1 {accuracy:.4f}")
    if classes <= _NAMED:
        names = [_shorten(name) for name in class_names]
        for axis, rotation in ((axes.xaxis, 90 if classes > 3 else 0), (axes.yaxis, 0)):
            axis.set_ticks(range(classes))
            # A "$" in a class name does not start a formula.
            axis.set_ticklabels(names, rotation=rotation, fontsize=8, parse_math=False)
    if classes <= _NUMBERED:
        for row, column in np.ndindex(counts.shape):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def draw_curves(log: str | os.PathLike) -> Figure:
    """Draw loss, accuracy and learning rate by step from a run's log.jsonl, training and validation together."""
    lines = [json.loads(line) for line in as_path(log).read_text(encoding="utf-8").splitlines()]
    panels: Mapping[str, tuple[str, ...]] = {
        "loss": ("loss", "validation_loss"),
        "accuracy": ("accuracy", "validation_accuracy", "validation_balanced_accuracy"),
        "learning rate": ("learning_rate",),
    }
    figure = _new_figure(7.0, 7.5)
    for number, (title, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(len(panels), 1, number)
        for name in names:
            points = [(line["step"], line[name]) for line in lines if name in line]
            if points:
                marker = "." if name.startswith("validation") or len(points) == 1 else None
                label = name.replace("_", " ") if name.startswith("validation") else "training"
                axes.plot(*zip(*points, strict=True), label=label, marker=marker, linewidth=1.2)
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize=8)
    axes.set_xlabel("step")
    return figure


def write_figure(path: str | os.PathLike, figure: Figure) -> None:
    """Write a figure in the format of the suffix of `path`, one of FORMATS; equal figures give equal files."""
    import matplotlib

    content, ending = io.BytesIO(), Path(path).suffix.lower()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "scarlet-tf"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # class names may use any script
        figure.savefig(
            content, format=ending.removeprefix("."), dpi=120, bbox_inches="tight", metadata=_UNDATED.get(ending)
        )
    write_atomically(path, content.getvalue())


def _new_figure(width: float, height: float) -> Figure:
    """Return a figure of this size in inches, independent of windows and global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _shorten(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
