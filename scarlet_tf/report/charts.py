"""Small SVG charts of measurements: panels side by side, with points, lines with bands, and histograms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

from scarlet_tf.report.quantities import significant

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # differ in lightness as well as in hue
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 40, 46
_WIDTH, _HEIGHT = 300, 220  # of a panel's frame
_STYLE = "<style>.chart{color:#22303c}@media(prefers-color-scheme:dark){.chart{color:#dbe4ec}}</style>"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Points:
    """A dot for each (x, y)."""

    label: str
    x: Sequence[float]
    y: Sequence[float]

    def extent(self) -> tuple[list[float], list[float]]:
        return list(self.x), list(self.y)

    def draw(self, at, colour: str) -> str:
        dots = [at(x, y) for x, y in zip(self.x, self.y, strict=True)]
        return "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" opacity=".75"/>' for x, y in dots)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A line through (x, y), with a band from low to high."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]

    def extent(self) -> tuple[list[float], list[float]]:
        return list(self.x), [*self.low, *self.high]

    def draw(self, at, colour: str) -> str:
        around = [*zip(self.x, self.high, strict=True), *reversed(list(zip(self.x, self.low, strict=True)))]
        band, line = (
            " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
            for points in (around, zip(self.x, self.y, strict=True))
        )
        return (
            f'<polygon points="{band}" fill="{colour}" opacity=".18"/>'
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Histogram:
    """A histogram: heights[i] between edges[i] and edges[i + 1]."""

    label: str
    edges: Sequence[float]
    heights: Sequence[float]

    def extent(self) -> tuple[list[float], list[float]]:
        return list(self.edges), [0.0, *self.heights]

    def draw(self, at, colour: str) -> str:
        corners = [(self.edges[0], 0.0)]
        for i, height in enumerate(self.heights):
            corners += [(self.edges[i], height), (self.edges[i + 1], height)]
        corners.append((self.edges[-1], 0.0))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*corner) for corner in corners))
        return f'<polygon points="{path}" fill="{colour}" fill-opacity=".2" stroke="{colour}" stroke-width="1.5"/>'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One frame with axes. Every mark has a colour and a legend entry; `legend` is "top" (left) or "bottom" (right)."""

    title: str
    x_label: str
    y_label: str
    marks: tuple[Points | Line | Histogram, ...]
    legend: str = "top"


def draw_chart(panels: Sequence[Panel], *, title: str) -> str:
    """Return a self-contained SVG picture. Raise ValueError for an empty panel, or numbers that are not finite."""
    pitch = _LEFT + _WIDTH + _RIGHT
    width, height = pitch * len(panels), _TOP + _HEIGHT + _BOTTOM
    body = "".join(
        f'<g transform="translate({pitch * i + _LEFT},{_TOP})">{_panel(p)}</g>' for i, p in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui,sans-serif">'
        f"<title>{escape(title)}</title>{_STYLE}{_text(12, 16, title, size=13)}{body}</svg>\n"
    )


def ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Return at most `most` round numbers from low to high: multiples of 1, 2 or 5 times a power of ten."""
    least = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _panel(panel: Panel) -> str:
    extents = [mark.extent() for mark in panel.marks]
    xs, ys = ([value for extent in extents for value in extent[axis]] for axis in (0, 1))
    if not xs or not all(map(math.isfinite, xs + ys)):
        raise ValueError(f"panel {panel.title!r} needs finite numbers to draw, got {xs} and {ys}")
    (left, right), (bottom, top) = _range(xs), _range(ys)

    def at(x: float, y: float) -> tuple[float, float]:
        return _WIDTH * (x - left) / (right - left), _HEIGHT * (top - y) / (top - bottom)

    parts = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="currentColor" opacity=".6"/>']
    for x in ticks(left, right):
        parts.append(_text(at(x, bottom)[0], _HEIGHT + 14, significant(x, 4), size=10, anchor="middle"))
    for y in ticks(bottom, top):
        height = at(left, y)[1]
        parts.append(f'<path d="M0 {height:.1f}H{_WIDTH}" stroke="currentColor" opacity=".12"/>')
        parts.append(_text(-5, height + 3, significant(y, 4), size=10, anchor="end"))
    parts += [mark.draw(at, COLOURS[i % len(COLOURS)]) for i, mark in enumerate(panel.marks)]
    corner = {"top": (8, 8), "bottom": (_WIDTH - 170, _HEIGHT - 4 - 14 * len(panel.marks))}[panel.legend]
    for i, mark in enumerate(panel.marks):
        x, y = corner[0], corner[1] + 14 * i
        parts.append(f'<rect x="{x}" y="{y}" width="9" height="9" fill="{COLOURS[i % len(COLOURS)]}"/>')
        parts.append(_text(x + 14, y + 8, mark.label, size=10))
    parts.append(_text(0, -7, panel.title, size=11))
    parts.append(_text(_WIDTH / 2, _HEIGHT + 32, panel.x_label, size=11, anchor="middle"))
    upright = _text(0, 0, panel.y_label, size=11, anchor="middle")
    parts.append(f'<g transform="translate(-40,{_HEIGHT / 2}) rotate(-90)">{upright}</g>')
    return "".join(parts)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _text(x: float, y: float, text: str, *, size: int, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(text)}</text>"
    )
