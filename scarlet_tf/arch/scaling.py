"""Compound scaling: width, depth, resolution (paper: "Scaling up Models", Table 4)."""

from __future__ import annotations

import dataclasses
import math

from scarlet_tf.arch.block import LET_KINDS, BlockSpec, SpecError
from scarlet_tf.arch.spec import ArchSpec
from scarlet_tf.image_size import ImageSize, canonical_image_size, describe_image_size


def round_filters(channels: int, width: float, *, divisor: int = 8) -> int:
    """Round channels*width as EfficientNet does: to a multiple of 8, at least 8, never below 0.9 of the exact value."""
    if width == 1.0:
        return channels
    exact = channels * width
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * exact else rounded


def scale(
    spec: ArchSpec,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: ImageSize | None = None,
    dropout: float | None = None,
    name: str | None = None,
) -> ArchSpec:
    """Return a spec scaled in width, depth and resolution.

    Width multiplies all channel counts, including those of stem and tail. Expansion ratios and the SE ratio are kept.
    With a depth of 1 or more, every block is repeated ceil(depth) times, and the copies have stride 1. With a depth
    below 1, every stage (a first block, and those after it with the same size and width) keeps its first
    ceil(depth * blocks) blocks. The genome is kept for reference, although the scaled network is not in the search
    space unless nothing changed.

    Args:
        spec: the spec to scale; it is not changed.
        width, depth: factors above 0.
        resolution: input size in pixels: one side, or (height, width). Default: the spec's.
        dropout: rate before the classifier. Default: the spec's.
        name: name of the new spec. Default: the old name and what changed.

    Raises:
        SpecError: for a factor that is not a number above 0, and for what ArchSpec rejects.

    Example:
        >>> from scarlet_tf.zoo import get_spec
        >>> scale(get_spec("scarlet_a"), width=0.5, resolution=160).name
        'scarlet_a_width0.5_resolution160'
    """
    for label, value in (("width", width), ("depth", depth)):
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
            raise SpecError(f"{label} must be a number > 0, got {value!r}")
    if resolution is not None:
        resolution = canonical_image_size(resolution, what="resolution", error=SpecError)
    blocks, channels = [], round_filters(spec.first_channels, width)
    for block in _shallower(spec.blocks, depth) if depth < 1 else spec.blocks:
        for copy in range(math.ceil(depth)):
            blocks.append(_scaled_block(block, channels, width=width, first=copy == 0))
            channels = blocks[-1].out_channels
    return dataclasses.replace(
        spec,
        name=name or spec.name + _suffix(width=width, depth=depth, resolution=resolution, of=spec),
        blocks=tuple(blocks),
        resolution=spec.resolution if resolution is None else resolution,
        stem_channels=round_filters(spec.stem_channels, width),
        first_channels=round_filters(spec.first_channels, width),
        tail_channels=round_filters(spec.tail_channels, width),
        dropout=spec.dropout if dropout is None else dropout,
    )


def _suffix(*, width: float, depth: float, resolution: ImageSize | None, of: ArchSpec) -> str:
    changes = {
        "width": None if width == 1 else width,
        "depth": None if depth == 1 else depth,
        "resolution": None if resolution in (None, of.resolution) else describe_image_size(resolution),
    }
    shown = {what: f"{value:g}" if isinstance(value, float) else value for what, value in changes.items()}
    return "".join(f"_{what}{value}" for what, value in shown.items() if value is not None)


def _shallower(blocks: tuple[BlockSpec, ...], depth: float) -> list[BlockSpec]:
    """Return the first ceil(depth * blocks) blocks of every stage."""
    stages: list[list[BlockSpec]] = []
    for block in blocks:
        if not stages or block.stride > 1 or block.out_channels != stages[-1][-1].out_channels:
            stages.append([])
        stages[-1].append(block)
    return [block for stage in stages for block in stage[: math.ceil(depth * len(stage))]]


def _scaled_block(block: BlockSpec, in_channels: int, *, width: float, first: bool) -> BlockSpec:
    stride = block.stride if first else 1
    if block.kind == "identity":
        return BlockSpec(kind="identity", in_channels=in_channels, out_channels=in_channels, stride=stride)
    out_channels = round_filters(block.out_channels, width)
    if block.kind in LET_KINDS:
        return BlockSpec(kind=block.kind, in_channels=in_channels, out_channels=out_channels, stride=stride)
    unchanged = (in_channels, out_channels, stride) == (block.in_channels, block.out_channels, block.stride)
    hidden = round(in_channels * block.hidden_channels / block.in_channels)
    return dataclasses.replace(
        block,
        in_channels=in_channels,
        out_channels=out_channels,
        stride=stride,
        hidden_channels=hidden,
        se_channels=max(1, hidden * block.se_channels // block.hidden_channels) if block.has_se else 0,
        shortcut=block.shortcut if unchanged else stride == 1 and in_channels == out_channels,
    )
