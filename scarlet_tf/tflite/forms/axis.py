"""Blocks of one axis of a depthwise convolution: which input blocks each tile of outputs reads."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a depthwise convolution, on its unpadded input.

    Attributes:
        size, out: elements of the input and of the output.
        taps, stride: of the kernel.
        before: zeros before the first element at which the first window starts.
    """

    size: int
    out: int
    taps: int
    stride: int
    before: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """An axis as a convolution over blocks: tile i of the outputs reads `taps` blocks from i * step + start on.

    Attributes:
        axis: the axis.
        block, tile: elements of an input block, outputs of a tile.
        front: zeros in front of the input, in the first block.
        start: first block that tile 0 reads; negative for blocks of zeros.
        taps: blocks that a tile reads.
        step: blocks between the first ones of two tiles.
        count: blocks that hold the input.
        tiles: tiles that the convolution makes; together they may hold more than the output.
    """

    axis: Axis
    block: int
    tile: int
    front: int
    start: int
    taps: int
    step: int
    count: int
    tiles: int

    @property
    def back(self) -> int:
        """Zeros behind the input that fill the last block."""
        return self.count * self.block - self.front - self.axis.size

    @property
    def padding(self) -> tuple[int, int]:
        """Blocks of zeros before the first block, and behind the last one."""
        return -self.start, _behind(self.tiles, self)

    @property
    def is_same(self) -> bool:
        """Whether TFLite's padding "same" adds exactly these blocks of zeros."""
        total = max((self.tiles - 1) * self.step + self.taps - self.count, 0)
        return self.tiles == -(-self.count // self.step) and self.padding == (total // 2, total - total // 2)

    def taps_read(self) -> np.ndarray:
        """Return the kernel's tap by which an output multiplies an element, int (outputs of a tile, elements read).

        It is outside of 0 to the kernel's taps - 1 where the output does not read the element.
        """
        first = self.start * self.block - self.front
        elements = first + np.arange(self.taps * self.block)
        windows = np.arange(self.tile) * self.axis.stride - self.axis.before
        return elements - windows[:, np.newaxis]


def whole(axis: Axis) -> Blocks:
    """Return the axis as one block and one tile; the zeros around the input need not be read."""
    return Blocks(axis=axis, block=axis.size, tile=axis.out, front=0, start=0, taps=1, step=1, count=1, tiles=1)


def single(axis: Axis) -> Blocks:
    """Return the axis in blocks and tiles of one element."""
    return blocks_of(axis, block=1, tile=1)


def blocks_of(axis: Axis, *, block: int, tile: int) -> Blocks:
    """Return the axis in blocks, with the zeros in front that let a tile read the fewest blocks.

    Args:
        axis: the axis.
        block: elements of an input block.
        tile: outputs of a tile; `tile` * stride must be a multiple of `block`.
    """
    if tile * axis.stride % block:
        raise ValueError(f"tiles of {tile} outputs at stride {axis.stride} do not start at blocks of {block}")
    last = (tile - 1) * axis.stride + axis.taps - 1  # element that a tile reads last, from its first

    def taps(front: int) -> int:
        return (front - axis.before + last) // block - (front - axis.before) // block + 1

    front = min(range(block), key=lambda front: (taps(front), front))
    made = Blocks(
        axis=axis,
        block=block,
        tile=tile,
        front=front,
        start=(front - axis.before) // block,
        taps=taps(front),
        step=tile * axis.stride // block,
        count=-(-(front + axis.size) // block),
        tiles=-(-axis.out // tile),
    )
    read = made.count - made.start + _behind(made.tiles, made)
    return dataclasses.replace(made, tiles=(read - made.taps) // made.step + 1)


def _behind(tiles: int, blocks: Blocks) -> int:
    return max(0, (tiles - 1) * blocks.step + blocks.taps + blocks.start - blocks.count)
