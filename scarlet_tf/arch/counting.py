"""Multiply-adds and parameters, of one spec or of a whole array of genomes.

MAdds: every convolution and the classifier, SE's included; nothing for BN, activations, pools, additions.
Params: convolutions, classifier, BN's gamma and beta; not the moving statistics.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from scarlet_tf.arch.space import IDENTITY, SearchSpace, block_spec
from scarlet_tf.arch.spec import LET_KINDS, ArchSpec, BlockSpec
from scarlet_tf.image_size import ImageSize, height_and_width


class Counts(NamedTuple):
    """Multiply-adds and parameters, both plain counts (not millions)."""

    madds: int
    params: int


def _conv(inputs: int, outputs: int, *, kernel: int, size: ImageSize, groups: int = 1, bias: bool = False) -> Counts:
    height, width = height_and_width(size)
    weights = inputs * outputs * kernel * kernel // groups
    return Counts(weights * height * width, weights + outputs * bias)


def _conv_bn(inputs: int, outputs: int, *, kernel: int, size: ImageSize, groups: int = 1) -> Counts:
    conv = _conv(inputs, outputs, kernel=kernel, size=size, groups=groups)
    return Counts(conv.madds, conv.params + 2 * outputs)


def _total(parts: list[Counts]) -> Counts:
    return Counts(sum(p.madds for p in parts), sum(p.params for p in parts))


def strided(size: ImageSize, stride: int) -> ImageSize:
    """Size of the map after a padded convolution or a ceil-mode pool: its side, or (height, width)."""
    return -(-size // stride) if isinstance(size, int) else tuple(-(-side // stride) for side in size)


def count_block(block: BlockSpec, size: ImageSize) -> Counts:
    """Return the counts of one block whose input map has this size."""
    after = strided(size, block.stride)
    if block.kind == "identity":
        return Counts(0, 0)
    if block.kind in LET_KINDS:
        return _conv(block.in_channels, block.out_channels, kernel=1, size=after)
    hidden = block.hidden_channels
    parts = [
        _conv_bn(block.in_channels, hidden, kernel=1, size=size),
        _conv_bn(hidden, hidden, kernel=block.kernel_size, size=after, groups=hidden),
        _conv_bn(hidden, block.out_channels, kernel=1, size=after),
    ]
    if block.has_se:
        parts.append(_conv(hidden, block.se_channels, kernel=1, size=1, bias=True))
        parts.append(_conv(block.se_channels, hidden, kernel=1, size=1, bias=True))
    return _total(parts)


def count_stem(net: ArchSpec | SearchSpace, size: ImageSize, *, input_channels: int = 3) -> Counts:
    """Stem and separable convolution; `size` is the input image's."""
    after = strided(size, net.stem_stride)
    return _total(
        [
            _conv_bn(input_channels, net.stem_channels, kernel=3, size=after),
            _conv_bn(net.stem_channels, net.stem_channels, kernel=3, size=after, groups=net.stem_channels),
            _conv_bn(net.stem_channels, net.first_channels, kernel=1, size=after),
        ]
    )


def count_tail(net: ArchSpec | SearchSpace, inputs: int, size: ImageSize) -> Counts:
    """Tail convolution and classifier; `size` is the last map's."""
    conv = _conv_bn(inputs, net.tail_channels, kernel=1, size=size)
    return _total([conv, _conv(net.tail_channels, net.classes, kernel=1, size=1, bias=True)])


def count(spec: ArchSpec, *, resolution: ImageSize | None = None) -> Counts:
    """Multiply-adds and params of a spec, at its own resolution or another: one side, or (height, width)."""
    resolution = spec.resolution if resolution is None else resolution
    parts = [count_stem(spec, resolution, input_channels=spec.input_channels)]
    size = strided(resolution, spec.stem_stride)
    for block in spec.blocks:
        parts.append(count_block(block, size))
        size = strided(size, block.stride)
    parts.append(count_tail(spec, spec.feature_channels, size))
    return _total(parts)


def count_genomes(
    space: SearchSpace, genomes: np.ndarray, *, resolution: ImageSize | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the stand-alone models of many genomes at once.

    Identity passes its input width on, so a layer's input width depends on the genes before it. Every layer has a
    table over (input width, choice); one pass over the layers carries each genome's width along.

    Args:
        genomes: (n, num_layers) integers.

    Returns:
        madds (n,) int64 and params (n,) int64; equal to `count(space.spec(genome))` for every row.
    """
    genomes = np.asarray(genomes)
    if genomes.ndim != 2 or genomes.shape[1] != space.num_layers:
        raise ValueError(f"genomes must have shape (n, {space.num_layers}), got {genomes.shape}")
    if not np.issubdtype(genomes.dtype, np.integer):
        raise ValueError(f"genomes must be integers, got {genomes.dtype}")
    if genomes.size and (genomes.min() < 0 or genomes.max() >= space.num_choices):
        raise ValueError(f"genes must be in 0..{space.num_choices - 1}, got {genomes.min()}..{genomes.max()}")
    tables = _tables(space, space.resolution if resolution is None else resolution)
    total = np.tile(tables.stem, (len(genomes), 1))
    width = np.full(len(genomes), tables.first_width)
    for layer, table in enumerate(tables.layers):
        genes = genomes[:, layer]
        total += table[width, genes]
        width = np.where(genes == IDENTITY, width, tables.width_after[layer])
    total += tables.tail[width]
    return total[:, 0], total[:, 1]


class _Tables(NamedTuple):
    stem: np.ndarray  # (2,) madds and params
    layers: list[np.ndarray]  # one (widths, choices, 2) a layer
    tail: np.ndarray  # (widths, 2)
    first_width: int  # index of the width that layer 0 gets
    width_after: list[int]  # index of the width that a layer gives, identity apart


@functools.lru_cache(maxsize=16)
def _tables(space: SearchSpace, resolution: ImageSize) -> _Tables:
    widths = sorted({space.first_channels, *space.out_channels})
    size = strided(resolution, space.stem_stride)
    layers = []
    for out_channels, stride in zip(space.out_channels, space.strides, strict=True):
        blocks = [
            [
                block_spec(choice, w, out_channels=out_channels, stride=stride, let=False)
                for choice in range(space.num_choices)
            ]
            for w in widths
        ]
        layers.append(np.array([[count_block(block, size) for block in row] for row in blocks], np.int64))
        size = strided(size, stride)
    return _Tables(
        stem=np.array(count_stem(space, resolution), np.int64),
        layers=layers,
        tail=np.array([count_tail(space, width, size) for width in widths], np.int64),
        first_width=widths.index(space.first_channels),
        width_after=[widths.index(out_channels) for out_channels in space.out_channels],
    )
