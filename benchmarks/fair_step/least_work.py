"""The network whose fair step is timed, and the minimum work of a step."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from scarlet_tf.arch import SearchSpace, get_space
from scarlet_tf.arch.block import strided
from scarlet_tf.arch.counting import count_stem, count_tail

LARGE = 64  # pixels; stem and layer 0 have stride 2 above this size, else stride 1
FLOAT = 4  # bytes


def reduced_space(width: float, size: int) -> SearchSpace:
    """Return the `scarlet` space with scaled widths, other strides, 16 stem and 256 tail channels, and 10 classes."""
    full = get_space("scarlet", classes=10)
    large = size > LARGE
    return dataclasses.replace(
        full,
        name=f"scarlet_x{width:g}",
        out_channels=tuple(max(8, int(channels * width + 4) // 8 * 8) for channels in full.out_channels),
        strides=full.strides if large else (1, *full.strides[1:]),
        resolution=size,
        stem_channels=16,
        stem_stride=2 if large else 1,
        tail_channels=256,
    )


class Work(NamedTuple):
    """Multiply-adds of one step, and bytes of feature maps that it reads and writes."""

    madds: int
    moved: int


def count_work(space: SearchSpace, batch: int) -> Work:
    """Return the minimum work of a fair step that does not fuse convolutions with normalisations.

    Multiply-adds: each convolution forward, and as many again for the gradient of its input and for that of its kernel.
    Bytes: a convolution reads its input and writes its output. Backward it reads the output's gradient and writes the
    input's; for the kernel's gradient it reads the input and the output's gradient. A normalisation with its activation
    reads its input for the moments and again for the result, which it writes. Backward it reads the input and the
    output's gradient, twice, and writes the input's gradient. Squeeze-and-excite, shortcuts and the optimizer are not
    counted.
    """
    side = strided(space.resolution, space.stem_stride)
    madds = count_stem(space, space.resolution).madds
    values = space.resolution**2 * 3 + side**2 * (4 * space.stem_channels + space.first_channels)
    normalised = side**2 * (2 * space.stem_channels + space.first_channels)
    for choice in range(max(space.num_choices)):  # the same in every layer
        after = side
        for block in space.spec((choice,) * space.num_layers, let=True).blocks:
            before, after = after, strided(after, block.stride)
            madds += block.counts(before).madds
            values += before**2 * block.in_channels + after**2 * block.out_channels
            if block.expands:
                values += 2 * block.hidden_channels * (before**2 + after**2)
                normalised += block.hidden_channels * (before**2 + after**2) + after**2 * block.out_channels
        width = space.out_channels[-1]
        madds += count_tail(space, width, after).madds
        values += after**2 * (width + space.tail_channels)
        normalised += after**2 * space.tail_channels
    return Work(madds=3 * batch * madds, moved=FLOAT * batch * (3 * values + 8 * normalised))
