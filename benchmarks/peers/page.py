"""Render the benchmark's result as a Markdown page."""

from __future__ import annotations

from scarlet_tf.machine import describe

_REFERENCE = "EfficientNetB0"


def make_markdown(result: dict, *, picture: str) -> str:
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
