"""The page of the peers, with its bar chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import check_finite, new_chart
from benchmarks.machine import describe
from benchmarks.result_files import remarks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_REFERENCE = "EfficientNetB0"
# Colours differ in lightness as well as in hue; bars of plain files are pale.
_COLOURS = {"float32": "#0072b2", "float16": "#56b4e9", "dynamic": "#e69f00", "int8": "#d55e00"}
_PALE = 0.45


def make_page(result: dict, *, picture: str) -> str:
    """Return the page with the table; `picture` is the file name of the drawing beside it."""
    ratios = {(tuple(r["numerator"]), tuple(r["denominator"])): r["median"] for r in result["ratios"]}
    rows = [_row(file, ratios) for file in result["files"]]
    return f"""# Time of .tflite files: SCARLET and peers

    {result["command"]}

{describe(result, cpu_flags=True)}; threads {result["threads"]}; random weights, \
seed {result["seed"]}.

![Bars of the table]({picture})

Plain: as TensorFlow's converter leaves it. Rewritten: by `scarlet_tf.tflite.optimize`. All files take the normalised
image of 224 x 224 and end in a softmax over 1000 classes; what keras.applications does to pixels is cut off.

Medians of {result["rounds"]} rounds after {result["warmup"]} that do not count; all files run once a round, in turn. \
The ratios are medians
of the quotients of one round and hold where the milliseconds drift; where rewriting changed nothing, a ratio's distance
from 1 is noise. Utilisation: multiply-adds a second over those of a float32 matrix product in the same round (median
{result["sgemm_gmadds"]:.1f} G a second). int8 is calibrated on {result["calibration_images"]} random images, which is \
enough for timing: accuracy is
not measured here. Partitions: pieces that XNNPACK runs.
{remarks(result)}
| network | format | file | M MAdds | MB | partitions | ms | p10 | p90 | / plain | / {_REFERENCE} plain | \
/ {_REFERENCE} rewritten | utilisation |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _row(file: dict, ratios: dict) -> str:
    own = file["network"], file["format"], "rewritten" if file["rewritten"] else "plain"
    compared = [(file["network"], file["format"], "plain")]
    compared += [(_REFERENCE, file["format"], kind) for kind in ("plain", "rewritten")]
    quotients = [f"{ratios[own, other]:.3f}" if (own, other) in ratios else "" for other in compared]
    cells = [
        *own,
        f"{file['madds'] / 1e6:.1f}",
        f"{file['bytes'] / 1e6:.1f}",
        str(file["partitions"]),
        *(f"{file[key]:.2f}" for key in ("median_ms", "p10_ms", "p90_ms")),
        *quotients,
        f"{file['utilisation']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def draw_bars(result: dict) -> Figure:
    """Draw the median times in milliseconds: a bar for each file, grouped by network."""
    from matplotlib.patches import Patch

    files, machine = result["files"], result["machine"]
    check_finite("times", [file["median_ms"] for file in files])
    figure, (axes,) = new_chart(
        f"Milliseconds an image, threads {result['threads']}, median of {result['rounds']} interleaved rounds",
        [("", f"ms; {machine['cpu']}, {', '.join(machine['cpu_flags'])}", "")],
        width=9.0,
        height=1.5 + 0.18 * len(files),
    )
    networks = list(dict.fromkeys(file["network"] for file in files))
    rows = [row + networks.index(file["network"]) for row, file in enumerate(files)]  # an empty one after each network
    bars = axes.barh(
        rows,
        [file["median_ms"] for file in files],
        height=0.85,
        color=[(_COLOURS[file["format"]], 1.0 if file["rewritten"] else _PALE) for file in files],
    )
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=7)
    middles = [
        np.mean([row for row, file in zip(rows, files, strict=True) if file["network"] == name]) for name in networks
    ]
    axes.set_yticks(middles, networks, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(rows[-1] + 1, -1)  # the first file on top
    axes.margins(x=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    formats = [form for form in _COLOURS if any(file["format"] == form for file in files)]
    legend = [Patch(fc=_COLOURS[form], label=form) for form in formats]
    legend += [Patch(fc=("black", _PALE), label="pale: plain"), Patch(fc="black", label="full: rewritten")]
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), fontsize=8)
    return figure
