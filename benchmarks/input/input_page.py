"""The page of the input pipeline's rates."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from benchmarks.machine import describe
from benchmarks.result_files import remarks

# Peak of dense bfloat16 (V100: float16) products, 10^12 operations a second: the makers' data sheets.
PEAKS = {"V100": 125, "A100": 312, "H100 SXM": 989, "TPU v4 chip": 275}
_USED = 0.2  # share of the peak that training such networks reaches: an assumption
_OPERATIONS = 6  # a multiply-add of training: two operations forward, four backward


def images_needed(peak: float, madds: float) -> float:
    """Return the images a second that a device trains on.

    Args:
        peak: 10^12 operations a second.
        madds: multiply-adds of an image.
    """
    return _USED * 1e12 * peak / (_OPERATIONS * madds)


def make_page(result: Mapping) -> str:
    """Return the page: rates, what accelerators need, and the start at a late step."""
    rates, late = result["rates"], result["late"]
    medians = {way: statistics.median(per_round) for way, per_round in rates["images_per_second"].items()}
    rounds = len(rates["images_per_second"]["pipeline"])
    core = medians["pipeline"] / result["machine"]["cores_used"]
    rows = "\n".join(f"| {way} | {rate:.0f} | {rate / medians['pipeline']:.2f} |" for way, rate in medians.items())
    return f"""# The input pipeline: images a second

    {result["command"]}

{describe(result)}.

JPEGs of 500 x 375 pixels, {rates["file_bytes"] / 1e3:.0f} kB on average, to batches of {rates["batch"]} at 224 pixels
with the paper's augmentation. Medians of {rounds} rounds of {rates["images"]} images, all in turn, each from the first
image on. One of four workers makes a quarter of every batch of {4 * rates["batch"]}.

| timed | images a second | of the pipeline's |
|---|---|---|
{rows}

## What accelerators need

At {_USED:.0%} of the peak of their matrix units, an assumption, and {_OPERATIONS} operations a multiply-add. SCARLET-A
has 365 million multiply-adds. A fair step of the supernet takes 13 paths of about 300 million on the same images.
Cores: at {core:.0f} images a second a core, as above.

| device | SCARLET-A: images a second | cores | supernet: images a second | cores |
|---|---|---|---|---|
{_needs(core)}

## Beginning at a late step

Step {late["step"]:,} in batches of {late["batch"]} of {late["records"]:,} tiny records in array_record files:
{late["seconds"]:.1f} s from opening the set to the batch. Records are read by number, so nothing before is read.
{remarks(result)}"""


def _needs(core: float) -> str:
    lines = []
    for device, peak in PEAKS.items():
        alone, supernet = images_needed(peak, 365e6), images_needed(peak, 13 * 300e6)
        lines.append(f"| {device} | {alone:,.0f} | {alone / core:.0f} | {supernet:,.0f} | {supernet / core:.1f} |")
    return "\n".join(lines)
