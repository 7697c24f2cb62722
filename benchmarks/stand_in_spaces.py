"""The search spaces that stand in for the paper's on 32x32 images, by name.

- "small": the preset, 6 layers.
- "double": every layer of "small" followed by a copy at stride 1, 12 layers.
- "deep": all 19 layers at a quarter of the width.
"""

from __future__ import annotations

import dataclasses

from scarlet_tf.arch import SearchSpace, get_space
from scarlet_tf.arch.scaling import round_filters
from scarlet_tf.choices import check_known

SPACES = ("small", "double", "deep")
SIDE = 32
_DEEP_WIDTH = 0.25
(IDENTITY,) = set(get_space("scarlet").identities)  # its gene, in all of these spaces


# Genes of the blocks of Table 1 that a layer keeps, by their number.
BLOCKS = {12: tuple(range(12)), 4: (0, 3, 8, 11)}


def check_blocks(blocks: int) -> None:
    """Raise ValueError unless `blocks` is a number that `with_blocks` accepts."""
    if blocks not in BLOCKS:
        raise ValueError(f"blocks must be 12 or 4, got {blocks!r}")


def with_blocks(space: SearchSpace, blocks: int) -> SearchSpace:
    """Return a space of Table 1's choices with fewer of them: 4 blocks (e3 k3, e3 k5 se, e6 k5, e6 k7 se), or all 12.

    Layers keep their identity, as the last choice.

    Raises:
        ValueError: for another number of blocks.
    """
    check_blocks(blocks)
    kept = (*BLOCKS[blocks], -1)
    return dataclasses.replace(space, choices=tuple(tuple(row[gene] for gene in kept) for row in space.layer_choices))


def stand_in(name: str, *, classes: int = 10) -> SearchSpace:
    """Return one of SPACES. Raise ValueError for another name."""
    check_known("space", name, SPACES)
    small = get_space("small", classes=classes)
    if name == "small":
        return small
    if name == "double":
        return dataclasses.replace(
            small,
            name="double",
            out_channels=tuple(channels for channels in small.out_channels for _ in range(2)),
            strides=tuple(stride for first in small.strides for stride in (first, 1)),
        )
    whole = get_space("scarlet", classes=classes)
    return dataclasses.replace(
        whole,
        name="deep",
        out_channels=tuple(round_filters(channels, _DEEP_WIDTH) for channels in whole.out_channels),
        resolution=SIDE,
        stem_channels=round_filters(whole.stem_channels, _DEEP_WIDTH),
        first_channels=round_filters(whole.first_channels, _DEEP_WIDTH),
        tail_channels=round_filters(whole.tail_channels, _DEEP_WIDTH),
    )
