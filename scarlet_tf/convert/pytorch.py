"""Mapping between the official PyTorch names and layouts of weights and ours, from an ArchSpec; needs only NumPy.

The official code registers a network's modules as `stem`, `separable_conv`, `mb_module.0` to `mb_module.18`,
`conv_before_pooling` and `classifier`. An identity has a number but no tensors. In a network that is deeper than the
published ones (depth scaling repeats every block right after itself), `mb_module` numbers all blocks in order, copies
included; the authors released no such checkpoint.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping

import numpy as np

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.arch.block import LET_KINDS

_NAMES_SHOWN = 3
_COUNTER = "num_batches_tracked"  # training steps; PyTorch expects one for every BN, and inference ignores it


class StateDictError(ValueError):
    """Tensors that do not fit the network; the message counts them, and shows the first beside those expected."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """One tensor of a network, under both names.

    Attributes:
        name: ours, as `scarlet_tf.models.get_weights` returns it; None for BN's counter, which Keras does not have.
        key: name in the official state dict.
        shape: of the official tensor.
        axes: the official tensor's axes in our order.
    """

    name: str | None
    key: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def our_shape(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in self.axes)


def pairs(spec: ArchSpec) -> list[Pair]:
    """Return every tensor of the network, in the order of the official state dict.

    Raises:
        StateDictError: for a spec with linearly equivalent transformations, or other blocks that the official networks
            do not have.

    Example:
        >>> from scarlet_tf.zoo import get_spec
        >>> pairs(get_spec("scarlet_a"))[0].key
        'stem.0.weight'
    """
    lets = [index for index, block in enumerate(spec.blocks) if block.kind in LET_KINDS]
    if lets:
        raise StateDictError(
            f"{spec.name!r}: blocks {', '.join(map(str, lets))} are linearly equivalent transformations, for which "
            "official checkpoints have no names: expected a network without LETs"
        )
    for index, block in enumerate(spec.blocks):
        if block.kind not in ("inverted_residual", "identity") or block.activation != "h_swish":
            raise StateDictError(
                f"{spec.name!r}: official checkpoints have no block like block {index}, {block.describe()}: "
                "expected inverted residuals with h-swish and identities"
            )
    return list(_network(spec))


def from_state_dict(spec: ArchSpec, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert an official state dict to our weights.

    Args:
        spec: the network of the weights.
        arrays: by official key. float16 and bfloat16 become float32, which holds them exactly; float64 must hold
            float32 values. BN's counters may be missing, as in files from before PyTorch 0.4.1.

    Returns:
        float32 arrays by name, for `scarlet_tf.models.set_weights`.

    Raises:
        StateDictError: unless names and shapes match exactly and every value is finite.
    """
    wanted = pairs(spec)
    arrays = {key: np.asarray(array) for key, array in arrays.items()}
    optional = {pair.key for pair in wanted if pair.name is None}
    _check_fit(spec, arrays, {pair.key: pair.shape for pair in wanted}, optional=optional)
    return {
        pair.name: np.ascontiguousarray(_as_float32(arrays[pair.key], pair.key).transpose(pair.axes))
        for pair in wanted
        if pair.name is not None
    }


def read_counters(arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Return the values of BN's counters in an official state dict, by key; `from_state_dict` leaves them out."""
    counters = {key: np.asarray(array) for key, array in arrays.items() if key.endswith(f".{_COUNTER}")}
    return {key: int(array) for key, array in counters.items() if np.issubdtype(array.dtype, np.integer)}


def to_state_dict(
    spec: ArchSpec, weights: Mapping[str, np.ndarray], *, counters: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Convert our weights to an official state dict, in PyTorch's order.

    Args:
        spec: the network of the weights.
        weights: by name, as `scarlet_tf.models.get_weights` returns them.
        counters: of BN, as `read_counters` returns them; missing ones are 0. They become int64.

    Raises:
        StateDictError: as `from_state_dict`.
    """
    wanted = pairs(spec)
    weights = {name: np.asarray(array) for name, array in weights.items()}
    _check_fit(spec, weights, {pair.name: pair.our_shape for pair in wanted if pair.name is not None})
    counters = counters or {}
    return {
        pair.key: np.array(counters.get(pair.key, 0), np.int64)
        if pair.name is None
        else np.ascontiguousarray(_as_float32(weights[pair.name], pair.name).transpose(np.argsort(pair.axes)))
        for pair in wanted
    }


def _network(spec: ArchSpec) -> Iterator[Pair]:
    stem, first, tail = spec.stem_channels, spec.first_channels, spec.tail_channels
    yield from _conv("stem_conv", "stem.0", spec.input_channels, stem, kernel_size=3)
    yield from _batch_norm("stem_bn", "stem.1", stem)
    yield from _depthwise("separable_depthwise_conv", "separable_conv.0", stem, kernel_size=3)
    yield from _batch_norm("separable_depthwise_bn", "separable_conv.1", stem)
    yield from _conv("separable_project_conv", "separable_conv.3", stem, first)
    yield from _batch_norm("separable_project_bn", "separable_conv.4", first)
    for index, block in enumerate(spec.blocks):
        if block.kind == "inverted_residual":
            yield from _inverted_residual(f"block{index:02d}", f"mb_module.{index}", block)
    yield from _conv("tail_conv", "conv_before_pooling.0", spec.feature_channels, tail)
    yield from _batch_norm("tail_bn", "conv_before_pooling.1", tail)
    yield from _dense("classifier", "classifier", tail, spec.classes)


def _inverted_residual(name: str, key: str, block: BlockSpec) -> Iterator[Pair]:
    hidden, squeezed = block.hidden_channels, block.se_channels
    yield from _conv(f"{name}_expand_conv", f"{key}.conv1", block.in_channels, hidden)
    yield from _batch_norm(f"{name}_expand_bn", f"{key}.bn1", hidden)
    yield from _depthwise(f"{name}_depthwise_conv", f"{key}.conv2", hidden, kernel_size=block.kernel_size)
    yield from _batch_norm(f"{name}_depthwise_bn", f"{key}.bn2", hidden)
    if block.has_se:
        yield from _conv(f"{name}_se_reduce", f"{key}.mid_se.squeeze_conv", hidden, squeezed)
        yield _vector(f"{name}_se_reduce/bias", f"{key}.mid_se.squeeze_conv.bias", squeezed)
        yield from _conv(f"{name}_se_expand", f"{key}.mid_se.excite_conv", squeezed, hidden)
        yield _vector(f"{name}_se_expand/bias", f"{key}.mid_se.excite_conv.bias", hidden)
    yield from _conv(f"{name}_project_conv", f"{key}.conv3", hidden, block.out_channels)
    yield from _batch_norm(f"{name}_project_bn", f"{key}.bn3", block.out_channels)


def _conv(name: str, key: str, inputs: int, outputs: int, *, kernel_size: int = 1) -> Iterator[Pair]:
    """Map (out, in, height, width) to (height, width, in, out)."""
    shape = (outputs, inputs, kernel_size, kernel_size)
    yield Pair(name=f"{name}/kernel", key=f"{key}.weight", shape=shape, axes=(2, 3, 1, 0))


def _depthwise(name: str, key: str, channels: int, *, kernel_size: int) -> Iterator[Pair]:
    """Map (channels, 1, height, width) to (height, width, channels, 1)."""
    shape = (channels, 1, kernel_size, kernel_size)
    yield Pair(name=f"{name}/kernel", key=f"{key}.weight", shape=shape, axes=(2, 3, 0, 1))


def _dense(name: str, key: str, inputs: int, outputs: int) -> Iterator[Pair]:
    """Map (out, in) to (in, out), and the bias."""
    yield Pair(name=f"{name}/kernel", key=f"{key}.weight", shape=(outputs, inputs), axes=(1, 0))
    yield _vector(f"{name}/bias", f"{key}.bias", outputs)


def _batch_norm(name: str, key: str, channels: int) -> Iterator[Pair]:
    yield _vector(f"{name}/gamma", f"{key}.weight", channels)
    yield _vector(f"{name}/beta", f"{key}.bias", channels)
    yield _vector(f"{name}/moving_mean", f"{key}.running_mean", channels)
    yield _vector(f"{name}/moving_variance", f"{key}.running_var", channels)
    yield Pair(name=None, key=f"{key}.{_COUNTER}", shape=(), axes=())


def _vector(name: str, key: str, size: int) -> Pair:
    return Pair(name=name, key=key, shape=(size,), axes=(0,))


def _check_fit(
    spec: ArchSpec,
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    optional: set[str] | frozenset[str] = frozenset(),
) -> None:
    missing = [name for name in shapes if name not in arrays and name not in optional]
    unexpected = [name for name in arrays if name not in shapes]
    other = [name for name, shape in shapes.items() if name in arrays and arrays[name].shape != shape]
    if not (missing or unexpected or other):
        return
    problems = []
    if other:
        entries = [f"{name} found {arrays[name].shape}, expected {shapes[name]}" for name in other[:_NAMES_SHOWN]]
        problems.append(f"{len(other)} with another shape: {'; '.join(entries)}")
    if unexpected:
        entries = [_beside_nearest(name, arrays[name].shape, missing, shapes) for name in unexpected[:_NAMES_SHOWN]]
        problems.append(f"{len(unexpected)} unexpected: {'; '.join(entries)}")
    if missing:
        entries = [f"{name} {shapes[name]}" for name in missing[:_NAMES_SHOWN]]
        problems.append(f"{len(missing)} missing: {'; '.join(entries)}")
    sizes = f"found {len(arrays)} tensors, expected {len(shapes)}"
    raise StateDictError(f"tensors do not fit {spec.name!r} ({sizes}): {', '.join(problems)}")


def _beside_nearest(
    name: str, shape: tuple[int, ...], missing: list[str], shapes: Mapping[str, tuple[int, ...]]
) -> str:
    """Show an unexpected name beside the most similar missing one, of the same shape if there is one."""
    alike = [other for other in missing if shapes[other] == shape] or missing
    nearest = difflib.get_close_matches(name, alike, n=1, cutoff=0)
    return f"{name} {shape}" + (f" (nearest missing: {nearest[0]} {shapes[nearest[0]]})" if nearest else "")


def _as_float32(array: np.ndarray, name: str) -> np.ndarray:
    """Convert to float32. Refuse what it does not hold exactly, non-finite values, and negative variances."""
    # bfloat16 is not one of NumPy's own dtypes, so it is no np.floating.
    if not (np.issubdtype(array.dtype, np.floating) or array.dtype.name == "bfloat16"):
        raise StateDictError(f"tensor {name} has dtype {array.dtype}, expected a floating-point dtype")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(array.astype(np.float64)).all():
        raise StateDictError(f"tensor {name} has values that are not finite")
    if array.dtype.itemsize > 4 and not np.array_equal(values, array):
        raise StateDictError(f"tensor {name} has {array.dtype} values that float32 cannot represent exactly")
    if name.endswith(("running_var", "moving_variance")) and values.min() < 0:
        raise StateDictError(f"tensor {name} has a variance of {values.min():g}, expected values >= 0")
    return values
