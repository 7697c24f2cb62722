"""Folding of linearly equivalent transformations (LETs) into adjacent layers (paper: Lemma 1, Lemma 2).

A LET is a bare 1x1 convolution, so it merges exactly with an adjacent linear map: the next block's expand convolution,
the tail convolution, another LET, or the previous block's project convolution with its BN. Two things prevent this: a
shortcut around the adjacent block, which also uses the LET's output (or input), and a max pool, which does not commute
with a matrix. The LET is then kept, and the report says why.
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
    """Error raised when a folded network does not compute what the original does; the message gives the difference."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlotReport:
    """Outcome of folding for the LET of one slot (0-based layer).

    Attributes:
        action: "forward", "merged", "backward" or "kept".
        reason: one sentence; it starts with "kept: " if the LET was kept.
    """

    slot: int
    action: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldResult:
    """Result of folding: the new spec, its weights by name, and a report for every LET."""

    spec: ArchSpec
    weights: dict[str, np.ndarray]
    slots: tuple[SlotReport, ...]


def fold_dense(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the kernel of the dense layer that equals two in a row: W1 W2 of Lemma 1.

    It also holds for 1x1 convolutions, on the last two axes of their kernels.

    Args:
        first: (..., a, b).
        second: (..., b, c).

    Returns:
        (..., a, c), computed in float64, in `second`'s dtype.

    Raises:
        ValueError: for kernels that do not share b.

    Example:
        >>> fold_dense(np.ones((2, 3)), np.ones((3, 4))).shape
        (2, 4)
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim < 2 or second.ndim < 2 or first.shape[-1] != second.shape[-2]:
        raise ValueError(f"kernels (..., a, b) and (..., b, c) must share b, got {first.shape} and {second.shape}")
    return (first.astype(np.float64) @ second.astype(np.float64)).astype(second.dtype)


def fold(spec: ArchSpec, weights: Mapping[str, np.ndarray], *, epsilon: float = BatchNorm().epsilon) -> FoldResult:
    """Fold every LET for which that is exact in inference.

    Slot by slot, each LET is folded forward (or merged into a following LET) if possible, else backward, else kept. A
    folded LET becomes an identity block, which retains the LET's max pool, so slots keep their numbers. The block that
    absorbs a LET keeps its `hidden_channels` and takes the width at the LET's other end. The genome is kept for
    reference. This only computes weights; `verify_fold` checks the result.

    Args:
        spec: of the network.
        weights: of `build(spec)`, with the names that `models.get_weights` gives.
        epsilon: of the batch normalisations.

    Returns:
        The folded spec and weights, and a report for every LET.
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
    """Check that folding preserved the logits, on random normal float32 images, and return the relative error.

    Args:
        spec, weights: of the original network.
        result: from `fold`.
        epsilon: of the batch normalisations.
        batch_size, seed: of the random images.

    Returns:
        max |difference| / max |output| of the logits before and after.

    Raises:
        FoldError: if the error exceeds 1e-5, or an output is not finite.
    """
    shape = (batch_size, *spec.input_shape)
    images = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    before = _logits(spec, weights, images, epsilon=epsilon)
    after = _logits(result.spec, result.weights, images, epsilon=epsilon)
    error = float(np.abs(after - before).max() / np.abs(before).max())
    if not error <= TOLERANCE:
        raise FoldError(
            f"folding {spec.name!r} changed its output by {error:.2e} of its maximum, above the limit {TOLERANCE:g}"
        )
    return error


@float32_policy()
def fold_model(model, spec: ArchSpec) -> tuple[object, FoldResult]:
    """Fold the LETs of a built Keras model, and check the result with `verify_fold`.

    Args:
        model: built by `build(spec, ...)`, with the top. Its epsilon, last activation and normalisation of pixels carry
            over.
        spec: of the model.

    Returns:
        The folded model, which computes in float32 whatever dtype policy the original has, and the `FoldResult`.

    Raises:
        FoldError: see `verify_fold`.
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
        mean_and_std=_mean_and_std(model),
        bn=BatchNorm(epsilon=epsilon),
        name=model.name,
    )
    set_weights(folded, result.weights)
    return folded, result


def _mean_and_std(model) -> tuple[list[float], list[float]] | None:
    """Return those by which a model normalises pixels itself, see `layers.normalise`; None if it does not."""
    if all(layer.name != "normalise" for layer in model.layers):
        return None
    scale, offset = (np.float64(getattr(model.get_layer("normalise"), name)) for name in ("scale", "offset"))
    std = 1.0 / (255.0 * scale)
    return (-offset * std).tolist(), std.tolist()


def _logits(spec: ArchSpec, weights: Mapping[str, np.ndarray], images: np.ndarray, *, epsilon: float) -> np.ndarray:
    model = build(spec, classifier_activation=None, bn=BatchNorm(epsilon=epsilon))
    set_weights(model, weights)
    return np.asarray(model(images, training=False))


class _Network:
    """Blocks and weights of a network while its LETs are folded; modified weights are float64."""

    def __init__(self, spec: ArchSpec, weights: Mapping[str, np.ndarray]) -> None:
        self.original = spec
        self.dtypes = {name: np.asarray(array).dtype for name, array in weights.items()}
        self.weights = {name: np.asarray(array) for name, array in weights.items()}
        self.blocks: list[BlockSpec] = list(spec.blocks)
        self.first_channels = spec.first_channels

    def spec(self) -> ArchSpec:
        """Return the folded spec; identities take the width that now reaches them."""
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
        """Return the index of the nearest block that is not a bare pass-through; -1: stem, len(blocks): tail."""
        index = slot + step
        while 0 <= index < len(self.blocks) and _passes_through(self.blocks[index]):
            index += step
        return index

    def take_let(self, slot: int) -> np.ndarray:
        """Replace the slot's LET by an identity, and return the LET's kernel (1, 1, in, out)."""
        block = self.blocks[slot]
        self.blocks[slot] = BlockSpec(
            kind="identity", in_channels=block.in_channels, out_channels=block.in_channels, stride=block.stride
        )
        return self.weights.pop(f"{block_name(slot)}_let/kernel").astype(np.float64)

    def before_kernel(self, name: str, let: np.ndarray) -> None:
        """Make the convolution `name` take the LET's input instead of its output."""
        self.weights[name] = fold_dense(let, self.weights[name].astype(np.float64))

    def after_conv_bn(self, name: str, let: np.ndarray, *, epsilon: float) -> None:
        """Make the convolution and BN `name` compute the LET's output.

        BN is y -> scale*y + shift per channel, so the LET's columns mix channels with different scales. The scale
        therefore goes into the kernel, and the new BN has variance 1 and the gamma that makes its scale 1 despite
        epsilon.
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
