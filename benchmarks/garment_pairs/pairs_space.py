"""The search space whose models are trained on garment pairs. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses

from benchmarks.garment_pairs.drawing import SIDE
from benchmarks.stand_in_spaces import with_blocks
from scarlet_tf.arch import SearchSpace, get_space

CLASSES = 100  # ordered pairs of ten


def pairs_space(blocks: int) -> SearchSpace:
    """Return space "small" for garment pairs, with this number of blocks besides the LET a layer, see `with_blocks`."""
    return with_blocks(dataclasses.replace(get_space("small", classes=CLASSES), resolution=SIDE), blocks)
