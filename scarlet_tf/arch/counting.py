"""Counts of multiply-adds and parameters, for one spec or an array of genomes.

MAdds: all convolutions, those of SE included, and the classifier; BN, activations, pools and additions count nothing.
Params: convolutions, classifier, BN's gamma and beta; not the moving statistics.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from scarlet_tf.arch.block import Counts, conv_bn_counts, conv_counts, strided, total
from scarlet_tf.arch.space import SearchSpace
from scarlet_tf.arch.spec import ArchSpec
from scarlet_tf.image_size import ImageSize


def count_stem(net: ArchSpec | SearchSpace, size: ImageSize, *, input_channels: int = 3) -> Counts:
    """Return the counts of the stem and the separable convolution; `size` is the size of the input image."""
    after = strided(size, net.stem_stride)
    return total(
        [
            conv_bn_counts(input_channels, net.stem_channels, kernel=3, size=after),
            conv_bn_counts(net.stem_channels, net.stem_channels, kernel=3, size=after, groups=net.stem_channels),
            conv_bn_counts(net.stem_channels, net.first_channels, kernel=1, size=after),
        ]
    )


def count_tail(net: ArchSpec | SearchSpace, inputs: int, size: ImageSize) -> Counts:
    """Return the counts of the tail convolution and the classifier; `size` is the size of the last block's output."""
    conv = conv_bn_counts(inputs, net.tail_channels, kernel=1, size=size)
    return total([conv, conv_counts(net.tail_channels, net.classes, kernel=1, size=1, bias=True)])


def count(spec: ArchSpec, *, resolution: ImageSize | None = None) -> Counts:
    """Return the multiply-adds and parameters of a network.

    Args:
        spec: the network.
        resolution: input size in pixels: one side, or (height, width). Default: the spec's.

    Example:
        >>> from scarlet_tf.zoo import get_spec
        >>> round(count(get_spec("scarlet_a")).madds / 1e6, 2)
        365.31
    """
    resolution = spec.resolution if resolution is None else resolution
    parts = [count_stem(spec, resolution, input_channels=spec.input_channels)]
    size = strided(resolution, spec.stem_stride)
    for block in spec.blocks:
        parts.append(block.counts(size))
        size = strided(size, block.stride)
    parts.append(count_tail(spec, spec.feature_channels, size))
    return total(parts)


def count_genomes(
    space: SearchSpace, genomes: np.ndarray, *, resolution: ImageSize | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts of the stand-alone models of many genomes at once.

    An identity keeps the width of its input, so a layer's input width depends on the genes before it. Every layer has
    a table over (input width, choice); one pass over the layers tracks each genome's width.

    Args:
        space: the search space of the genomes.
        genomes: (n, num_layers) integers.
        resolution: input size in pixels: one side, or (height, width). Default: the space's.

    Returns:
        madds (n,) int64 and params (n,) int64; equal to `count(space.spec(genome))` for every row.

    Raises:
        ValueError: for genomes of another shape or dtype, and for genes out of range.
    """
    genomes = np.asarray(genomes)
    if genomes.ndim != 2 or genomes.shape[1] != space.num_layers:
        raise ValueError(f"genomes must have shape (n, {space.num_layers}), got {genomes.shape}")
    if not np.issubdtype(genomes.dtype, np.integer):
        raise ValueError(f"genomes must be integers, got {genomes.dtype}")
    outside = (genomes < 0) | (genomes >= np.array(space.num_choices))
    if outside.any():
        row, layer = np.argwhere(outside)[0]
        raise ValueError(
            f"genes of layer {layer} must be in 0..{space.num_choices[layer] - 1}, got {genomes[row, layer]}"
        )
    tables = _tables(space, space.resolution if resolution is None else resolution)
    sums = np.tile(tables.stem, (len(genomes), 1))
    width = np.full(len(genomes), tables.first_width)
    for layer, table in enumerate(tables.layers):
        genes = genomes[:, layer]
        sums += table.counts[width, genes]
        width = table.width_after[width, genes]
    sums += tables.tail[width]
    return sums[:, 0], sums[:, 1]


class _LayerTable(NamedTuple):
    counts: np.ndarray  # (widths, choices, 2) madds and params
    width_after: np.ndarray  # (widths, choices) index of the layer's output width


class _Tables(NamedTuple):
    stem: np.ndarray  # (2,) madds and params
    layers: list[_LayerTable]
    tail: np.ndarray  # (widths, 2)
    first_width: int  # index of layer 0's input width


@functools.lru_cache(maxsize=16)
def _tables(space: SearchSpace, resolution: ImageSize) -> _Tables:
    widths = sorted({space.first_channels, *space.out_channels})
    size = strided(resolution, space.stem_stride)
    layers = []
    for layer, stride in enumerate(space.strides):
        blocks = [[space.block(layer, gene, width) for gene in range(space.num_choices[layer])] for width in widths]
        layers.append(
            _LayerTable(
                counts=np.array([[block.counts(size) for block in row] for row in blocks], np.int64),
                width_after=np.array([[widths.index(block.out_channels) for block in row] for row in blocks]),
            )
        )
        size = strided(size, stride)
    return _Tables(
        stem=np.array(count_stem(space, resolution), np.int64),
        layers=layers,
        tail=np.array([count_tail(space, width, size) for width in widths], np.int64),
        first_width=widths.index(space.first_channels),
    )
