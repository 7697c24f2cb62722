"""The page of tools/scale.py: what a fair step and the stages of the method take on a device, as text."""

from __future__ import annotations

from collections.abc import Iterable

from scarlet_tf.image_size import describe_image_size
from scarlet_tf.supernet.process_memory import process_bytes
from scarlet_tf.supernet.scale import FairStep
from scarlet_tf.supernet.scale_stages import (
    PAPER_DAYS,
    SECONDS_A_DAY,
    Device,
    Method,
    mean_madds,
    stage_flops,
    step_seconds,
)


def describe_scale(step: FairStep, device: Device, *, utilisation: float, method: Method) -> str:
    """Return the page.

    Args:
        step: the fair step of a replica; each replica has a device.
        device: the device.
        utilisation: share of the device's peak that convolutions reach, in (0, 1].
        method: sizes of the stages.

    Raises:
        ValueError: for a utilisation outside (0, 1].
    """
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation must be a share in (0, 1], got {utilisation!r}")
    blocks = [_head(step, device), _step_rows(step), _memory_rows(step, device)]
    if step.precision in device.peaks:
        blocks += [_time_rows(step, device, utilisation), _stage_rows(step, device, utilisation, method)]
    else:
        known = ", ".join(device.peaks)
        blocks.append(f"Times are not given: no peak of {device.name} is known for {step.precision}, only for {known}.")
    return "\n\n".join(blocks)


def _head(step: FairStep, device: Device) -> str:
    how = step.precision + (", recomputing blocks" if step.recompute else "")
    devices = f"{step.replicas} {device.name}" if step.replicas > 1 else device.name
    return (
        f"A fair step of space {step.space.name!r} at {describe_image_size(step.space.resolution)} px on {devices}: "
        f"{step.tails} paths, {step.batch_size} images a device, {how}"
    )


def _step_rows(step: FairStep) -> str:
    return _rows(
        "counted",
        [
            ("parameters", f"{step.params:,}"),
            ("multiply-adds of an image, forward, all paths", f"{step.madds:,}"),
            ("floating-point operations of a step", f"{step.flops:,}"),
            ("bytes of feature maps that a step moves", _size(step.moved_bytes)),
            ("bytes that a device sends in a step", _size(step.all_reduce_bytes)),
            ("checkpoint", _size(step.checkpoint_bytes)),
        ],
    )


def _memory_rows(step: FairStep, device: Device) -> str:
    rows = [
        ("weights and statistics", _size(step.weight_bytes)),
        ("velocities", _size(step.velocity_bytes)),
        ("gradients", _size(step.velocity_bytes)),
        ("images", _size(step.input_bytes)),
        ("feature maps kept for the backward pass", _size(step.kept_bytes)),
        ("other feature maps at the peak", _size(step.activation_bytes - step.kept_bytes)),
        ("peak of all tensors", _size(step.peak_bytes)),
    ]
    if device.name == "cpu":
        rows.append(("peak of the process, TensorFlow and programs included", _size(process_bytes(step))))
    return _rows("memory of a device", rows) + "\n" + _verdict(step, device)


def _verdict(step: FairStep, device: Device) -> str:
    """Say whether the step fits into the device's memory, and the largest batch that does."""
    taken = process_bytes if device.name == "cpu" else lambda step: step.peak_bytes
    largest = step.largest_batch(device.memory, taken=taken)
    fits = "fits" if step.batch_size <= largest else "does not fit"
    most = f"the largest batch is {largest:,} images a device" if largest else "not even one image does"
    return f"A batch of {step.batch_size:,} {fits} into the {_size(device.memory)} of {device.name}: {most}."


def _time_rows(step: FairStep, device: Device, utilisation: float) -> str:
    by_flops, by_bytes = step_seconds(step, device, utilisation=utilisation)
    seconds = max(by_flops, by_bytes)
    peak = device.peaks[step.precision]
    return _rows(
        "time of a step",
        [
            (f"operations, at {utilisation:.0%} of {peak / 1e12:g} TFLOP/s", f"{by_flops:.3g} s"),
            (f"bytes, at {device.bandwidth / 1e9:,.0f} GB/s", f"{by_bytes:.3g} s"),
            ("images a second, all devices", f"{step.replicas * step.batch_size / seconds:,.0f}"),
        ],
    )


def _stage_rows(step: FairStep, device: Device, utilisation: float, method: Method) -> str:
    rate = step.flops / max(step_seconds(step, device, utilisation=utilisation))
    what = {
        "supernet": f"supernet, {method.epochs} epochs of {method.images - method.search_validation:,} images",
        "search": f"search, {method.models:,} models on {method.search_validation:,} images",
        "training": f"one network, {method.train_epochs} epochs of {method.images:,} images",
    }
    if step.space.name == "scarlet" and method == Method():
        what |= {stage: f"{what[stage]} (paper, V100: {days:g})" for stage, days in PAPER_DAYS.items()}
    rows = [(what[stage], f"{flops / rate / SECONDS_A_DAY:.3g}") for stage, flops in stage_flops(step, method).items()]
    mean = f"search and training: {mean_madds(step.space) / 1e6:.0f} M multiply-adds, the mean of the space's networks"
    return _rows(f"device-days, at the step's {rate / 1e12:.3g} TFLOP/s", rows) + f"\n{mean}"


def _rows(title: str, rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    wide, right = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join([title, *(f"  {what:<{wide}}  {value:>{right}}" for what, value in rows)])


def _size(count: float) -> str:
    """Return bytes with a unit and three digits: "1.23 GB"."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}" if count < 999.5 * scale else f"{count / scale:,.0f} {unit}"
    return f"{count / 1e3:.3g} kB"
