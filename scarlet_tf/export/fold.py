"""Folding linearly equivalent transformations into their neighbours (paper: Lemma 1, Lemma 2).

A LET is a bare 1x1 convolution, so it merges exactly with another linear map next to it: the next block's expand
convolution, the tail convolution, another LET, or the previous block's project convolution with its BN. A shortcut
around that neighbour carries the LET's output (or input) elsewhere too, and a max pool does not commute with a matrix:
there the LET stays, and the report says why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.arch.block import LET_KINDS
from scarlet_tf.export.policy import float32_policy, in_float32
from scarlet_tf.layers import BatchNorm
from scarlet_tf.models import block_name, build, get_weights, set_weights

TOLERANCE = 1e-5
_BN = ("gamma", "beta", "moving_mean", "moving_variance")


class FoldError(ValueError):
    """A folded network that does not compute what the original did; the message gives the difference."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlotReport:
    """What happened to the LET of one slot (0-based layer).

    Attributes:
        action: "forward", "merged", "backward" or "kept".
        reason: one sentence; it starts with "kept: " where the LET stays.
    """

    slot: int
    action: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldResult:
    """A network without the LETs that could be folded, its weights by name, and a report for every LET."""

    spec: ArchSpec
    weights: dict[str, np.ndarray]
    slots: tuple[SlotReport, ...]


def fold_dense(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One kernel for two dense layers with nothing between: (a, b) and (b, c) -> (a, c), Lemma 1's W1 W2.

    Computed in float64, returned in `second`'s dtype. Also the 1x1 convolutions' rule, on their last two axes.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim < 2 or second.ndim < 2 or first.shape[-1] != second.shape[-2]:
        raise ValueError(f"kernels (..., a, b) and (..., b, c) must share b, got {first.shape} and {second.shape}")
    return (first.astype(np.float64) @ second.astype(np.float64)).astype(second.dtype)


def fold(spec: ArchSpec, weights: Mapping[str, np.ndarray], *, epsilon: float = BatchNorm().epsilon) -> FoldResult:
    """Folds every LET where that is exact in inference; pure arithmetic, see `verify_fold` for the check.

    In order of the slots, each LET goes forward (or into a following LET) if it can, else backward, else it stays. A
    folded LET leaves an identity block, its max pool with it, so slots keep their numbers. A block that took a LET in
    keeps its `hidden_channels` and gets the LET's other width. The genome stays for reference.

    Args:
        weights: of `build(spec)`, named as `models.get_weights` names them.
        epsilon: of the batch normalisations.
    """
    net = _Network(spec, weights)
    lets = [slot for slot, block in enumerate(spec.blocks) if block.kind in LET_KINDS]
    slots = [_fold_slot(net, slot, epsilon=epsilon) for slot in lets]
    return FoldResult(spec=net.spec(), weights=net.cast_weights(), slots=tuple(slots))


@float32_policy()
def verify_fold(
    spec: ArchSpec,
    weights: Mapping[str, np.ndarray],
    result: FoldResult,
    *,
    epsilon: float = BatchNorm().epsilon,
    batch_size: int = 2,
    seed: int = 0,
) -> float:
    """max |difference| / max |output| of the logits before and after, on random normal float32 images.

    Raises:
        FoldError: above 1e-5, or where an output is not finite.
    """
    shape = (batch_size, *spec.input_shape)
    images = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    before = _logits(spec, weights, images, epsilon=epsilon)
    after = _logits(result.spec, result.weights, images, epsilon=epsilon)
    error = float(np.abs(after - before).max() / np.abs(before).max())
    if not error <= TOLERANCE:
        raise FoldError(f"folding {spec.name!r} changed its output by {error:.2e} of its maximum, limit {TOLERANCE:g}")
    return error


@float32_policy()
def fold_model(model, spec: ArchSpec) -> tuple[object, FoldResult]:
    """A built Keras model without the LETs that could be folded, checked by `verify_fold`, and the report.

    The model has to be `build(spec, ...)`'s, with the top; its epsilon and last activation carry over. The folded one
    computes in float32, whatever dtype policy the model has.
    """
    model = in_float32(model)
    epsilon = model.get_layer("stem_bn").epsilon
    weights = get_weights(model)
    result = fold(spec, weights, epsilon=epsilon)
    verify_fold(spec, weights, result, epsilon=epsilon)
    folded = build(
        result.spec,
        input_shape=model.input_shape[1:],
        classifier_activation=model.get_layer("classifier").activation,
        bn=BatchNorm(epsilon=epsilon),
        name=model.name,
    )
    set_weights(folded, result.weights)
    return folded, result


def _logits(spec: ArchSpec, weights: Mapping[str, np.ndarray], images: np.ndarray, *, epsilon: float) -> np.ndarray:
    model = build(spec, classifier_activation=None, bn=BatchNorm(epsilon=epsilon))
    set_weights(model, weights)
    return np.asarray(model(images, training=False))


class _Network:
    """A spec's blocks and weights while LETs are folded; touched weights are float64."""

    def __init__(self, spec: ArchSpec, weights: Mapping[str, np.ndarray]) -> None:
        self.original = spec
        self.dtypes = {name: np.asarray(array).dtype for name, array in weights.items()}
        self.weights = {name: np.asarray(array) for name, array in weights.items()}
        self.blocks: list[BlockSpec] = list(spec.blocks)
        self.first_channels = spec.first_channels

    def spec(self) -> ArchSpec:
        """The spec as folded; identities take the width that now reaches them."""
        blocks, width = [], self.first_channels
        for block in self.blocks:
            if block.kind == "identity":
                block = dataclasses.replace(block, in_channels=width, out_channels=width)
            blocks.append(block)
            width = block.out_channels
        return dataclasses.replace(self.original, blocks=tuple(blocks), first_channels=self.first_channels)

    def cast_weights(self) -> dict[str, np.ndarray]:
        return {name: array.astype(self.dtypes[name]) for name, array in self.weights.items()}

    def neighbour(self, slot: int, step: int) -> int:
        """Index of the nearest block that is not a bare pass-through; -1 is the stem, len(blocks) the tail."""
        index = slot + step
        while 0 <= index < len(self.blocks) and _passes_through(self.blocks[index]):
            index += step
        return index

    def take_let(self, slot: int) -> np.ndarray:
        """Removes the slot's LET and returns its kernel (1, 1, in, out); an identity remains."""
        block = self.blocks[slot]
        self.blocks[slot] = BlockSpec(
            kind="identity", in_channels=block.in_channels, out_channels=block.in_channels, stride=block.stride
        )
        return self.weights.pop(f"{block_name(slot)}_let/kernel").astype(np.float64)

    def before_kernel(self, name: str, let: np.ndarray) -> None:
        """Makes the convolution `name` take the LET's input in place of its output."""
        self.weights[name] = fold_dense(let, self.weights[name].astype(np.float64))

    def after_conv_bn(self, name: str, let: np.ndarray, *, epsilon: float) -> None:
        """Makes the convolution + BN `name` give the LET's output.

        BN is y -> scale*y + shift per channel, so the LET's columns mix channels with different scales: the scale
        goes into the kernel, and the new BN has variance 1 and the gamma that makes its scale 1 despite epsilon.
        """
        gamma, beta, mean, variance = (self.weights[f"{name}_bn/{part}"].astype(np.float64) for part in _BN)
        scale = gamma / np.sqrt(variance + epsilon)
        matrix = let[0, 0]
        self.weights[f"{name}_conv/kernel"] = self.weights[f"{name}_conv/kernel"].astype(np.float64) * scale @ matrix
        width = matrix.shape[1]
        new = (np.full(width, np.sqrt(1 + epsilon)), (beta - mean * scale) @ matrix, np.zeros(width), np.ones(width))
        self.weights.update({f"{name}_bn/{part}": array for part, array in zip(_BN, new, strict=True)})


def _passes_through(block: BlockSpec) -> bool:
    return block.kind == "identity" and block.stride == 1


def _fold_slot(net: _Network, slot: int, *, epsilon: float) -> SlotReport:
    if net.blocks[slot].kind == "let_relu":
        return SlotReport(slot=slot, action="kept", reason="kept: a ReLU follows it, so it is not linear")
    following = net.neighbour(slot, +1)
    why_not_forward = _forward_obstacle(net, following)
    if why_not_forward is None:
        return _fold_forward(net, slot, following)
    previous = net.neighbour(slot, -1)
    why_not_backward = _backward_obstacle(net, slot, previous)
    if why_not_backward is None:
        return _fold_backward(net, slot, previous, epsilon=epsilon)
    return SlotReport(slot=slot, action="kept", reason=f"kept: {why_not_forward}; backward: {why_not_backward}")


def _forward_obstacle(net: _Network, following: int) -> str | None:
    if following == len(net.blocks):
        return None
    block = net.blocks[following]
    if block.expands:
        return "the next block has a shortcut" if block.shortcut else None
    return "a max pool comes next" if block.stride == 2 else None


def _backward_obstacle(net: _Network, slot: int, previous: int) -> str | None:
    if net.blocks[slot].stride == 2:
        return "its own max pool comes before it"
    if previous < 0:
        return None
    block = net.blocks[previous]
    if block.expands:
        return "the previous block has a shortcut" if block.shortcut else None
    return "a ReLU lies between" if block.kind == "let_relu" else "a max pool lies between"


def _fold_forward(net: _Network, slot: int, following: int) -> SlotReport:
    let = net.take_let(slot)
    if following == len(net.blocks):
        net.before_kernel("tail_conv/kernel", let)
        return SlotReport(slot=slot, action="forward", reason="folded into the tail convolution")
    block, name = net.blocks[following], block_name(following)
    net.blocks[following] = dataclasses.replace(block, in_channels=let.shape[2])
    if block.kind in LET_KINDS:
        net.before_kernel(f"{name}_let/kernel", let)
        return SlotReport(slot=slot, action="merged", reason=f"merged into the LET of slot {following}")
    net.before_kernel(f"{name}_expand_conv/kernel", let)
    return SlotReport(slot=slot, action="forward", reason=f"folded into the expand convolution of slot {following}")


def _fold_backward(net: _Network, slot: int, previous: int, *, epsilon: float) -> SlotReport:
    let = net.take_let(slot)
    if previous < 0:
        net.first_channels = let.shape[3]
        net.after_conv_bn("separable_project", let, epsilon=epsilon)
        return SlotReport(slot=slot, action="backward", reason="folded into the separable convolution")
    net.blocks[previous] = dataclasses.replace(net.blocks[previous], out_channels=let.shape[3])
    net.after_conv_bn(f"{block_name(previous)}_project", let, epsilon=epsilon)
    return SlotReport(slot=slot, action="backward", reason=f"folded into the project convolution of slot {previous}")
