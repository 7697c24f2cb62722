"""Weights and batch normalisations of the supernet's kinds of blocks. Does not import TensorFlow.

`blocks.py` has the forward passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from scarlet_tf.arch import BlockSpec


class Weight(NamedTuple):
    """A weight of a block.

    Attributes:
        name: its name in the stand-alone model, without the block's prefix.
        short: last part of the name of the supernet's variable.
        shape: without leading ones.
        fan_out: of the initialisation N(0, sqrt(2/fan_out)); 0: initialise with zeros.
    """

    name: str
    short: str
    shape: tuple[int, ...]
    fan_out: int


class Layout(NamedTuple):
    """What a kind of block consists of.

    Attributes:
        weights: BlockSpec -> a `Weight` for each of its weights.
        norms: the BNs of the hidden channels, in order, and whether each is after the stride; "project_bn", of the
            output, follows them.
    """

    weights: Callable[[BlockSpec], list[Weight]]
    norms: dict[str, bool]


def _inverted_residual_weights(block: BlockSpec) -> list[Weight]:
    hidden, kernel = block.hidden_channels, block.kernel_size
    return [
        Weight("expand_conv/kernel", "expand", (block.in_channels, hidden), hidden),
        Weight("depthwise_conv/kernel", "depthwise", (kernel, kernel, hidden, 1), kernel**2 * hidden),
        *_se_and_project_weights(block),
    ]


def _se_and_project_weights(block: BlockSpec) -> list[Weight]:
    hidden, reduced = block.hidden_channels, block.se_channels
    se = [
        Weight("se_reduce/kernel", "se_reduce", (hidden, reduced), reduced),
        Weight("se_reduce/bias", "se_reduce_bias", (reduced,), 0),
        Weight("se_expand/kernel", "se_expand", (reduced, hidden), hidden),
        Weight("se_expand/bias", "se_expand_bias", (hidden,), 0),
    ]
    project = Weight("project_conv/kernel", "project", (hidden, block.out_channels), block.out_channels)
    return [*(se if block.has_se else ()), project]


def _fused_weights(block: BlockSpec) -> list[Weight]:
    hidden, kernel = block.hidden_channels, block.kernel_size
    shape = (kernel, kernel, block.in_channels, hidden)
    return [Weight("expand_conv/kernel", "expand", shape, kernel**2 * hidden), *_se_and_project_weights(block)]


LAYOUTS = {
    "inverted_residual": Layout(_inverted_residual_weights, {"expand_bn": False, "depthwise_bn": True}),
    "fused_inverted_residual": Layout(_fused_weights, {"expand_bn": True}),
}
