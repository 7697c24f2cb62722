"""The page of the input pipeline's rates."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from benchmarks.machine import describe
from benchmarks.result_files import remarks
from scarlet_tf.arch import count, get_space
from scarlet_tf.supernet.scale import FairStep
from scarlet_tf.supernet.scale_stages import get_device, step_seconds
from scarlet_tf.zoo import get_spec

DEVICES = {"v100": "mixed_float16", "a100": "mixed_bfloat16", "h100": "mixed_bfloat16", "tpu_v4": "mixed_bfloat16"}
_UTILISATION = 0.2  # share of the peak that training such networks reaches: an assumption
_BATCH = 256
_OPERATIONS = 6  # a multiply-add of training: two operations forward, four backward


def images_needed(device: str, precision: str) -> tuple[float, float]:
    """Return the images a second that SCARLET-A and the supernet train on, as `scale_stages` estimates."""
    step = FairStep(space=get_space("scarlet"), batch_size=_BATCH, precision=precision)
    seconds = max(step_seconds(step, get_device(device), utilisation=_UTILISATION))
    return step.flops / seconds / (_OPERATIONS * count(get_spec("scarlet_a")).madds), _BATCH / seconds


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

[As estimated](../../docs/scale.md), not measured: steps of {_BATCH} images of 224 pixels, at {_UTILISATION:.0%} of the
peak, an assumption, or at the memory's bandwidth. SCARLET-A is taken to reach as many operations a second as the
supernet. Cores: at {core:.0f} images a second a core, as above.

| device | precision | SCARLET-A: images a second | cores | supernet: images a second | cores |
|---|---|---|---|---|---|
{_needs(core)}

## Beginning at a late step

Step {late["step"]:,} in batches of {late["batch"]} of {late["records"]:,} tiny records in array_record files:
{late["seconds"]:.1f} s from opening the set to the batch. Records are read by number, so nothing before is read.
{remarks(result)}"""


def _needs(core: float) -> str:
    lines = []
    for device, precision in DEVICES.items():
        alone, supernet = images_needed(device, precision)
        cells = (f"{rate:,.0f} | {rate / core:.1f}" for rate in (alone, supernet))
        lines.append(f"| {device} | {precision} | {' | '.join(cells)} |")
    return "\n".join(lines)
