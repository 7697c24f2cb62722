"""Forward passes of the supernet's blocks, stem and tail, for training and for evaluation.

Each kind of block has an entry in FORWARD_PASSES; `arch/block.py` has its weights and BNs. The BN statistics are
chosen by an argument: `BatchStatistics` in a fair step, `GivenStatistics` or `OwnStatistics` when paths are evaluated.

A fair step runs hundreds of blocks, and many of them repeat the same operations on the same shapes. These operations
are TensorFlow functions that take their weights as arguments, so each shape is traced, differentiated and compiled
once. Feature maps may have 16-bit dtypes; weights and statistics are float32, and kernels are cast to the dtype of the
feature map.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from scarlet_tf.arch import BlockSpec
from scarlet_tf.arch.block import BLOCK_KINDS
from scarlet_tf.kernels.depthwise import depthwise
from scarlet_tf.kernels.norm import activate, batch_moments, has_many_replicas, normalise
from scarlet_tf.layers import BatchNorm
from scarlet_tf.supernet.supernet_config import AT_A_TIME

BN_EPSILON = BatchNorm().epsilon


def _part(function: Callable) -> Callable:
    """Make a function a traced part; it is inlined with several replicas: inner functions cannot hold all-reduces."""
    traced = tf.function(function, autograph=False)

    @functools.wraps(function)
    def call(*tensors, **settings):
        return (function if has_many_replicas() else traced)(*tensors, **settings)

    return call


def _run_again_backward(function: Callable) -> Callable:
    """Wrap a function of nested tensors so that only its arguments are kept for the backward pass.

    The backward pass recomputes the other tensors it needs. Operations that it does not need, such as a convolution at
    the end of the function, are pruned from the graph.
    """

    @functools.wraps(function)
    def run_again(*arguments, **settings):
        @tf.custom_gradient
        def run(*tensors):
            def gradient(*doutputs):
                with tf.control_dependencies(doutputs):
                    inputs = [tf.identity(tensor) for tensor in tensors]
                with tf.GradientTape() as tape:
                    tape.watch(inputs)
                    outputs = function(*tf.nest.pack_sequence_as(arguments, inputs), **settings)
                return tape.gradient(outputs, inputs, doutputs)

            return function(*tf.nest.pack_sequence_as(arguments, tensors), **settings), gradient

        return run(*tf.nest.flatten(arguments))

    return run_again


@_part
def pointwise(x, kernel):
    """Apply a 1x1 convolution: (B, H, W, C), (C, D) -> (B, H, W, D)."""
    return _pointwise(x, tf.cast(kernel, x.dtype))


@_part
def moments(x):
    """Return mean and variance of the batch, see `batch_moments`: (B, H, W, C) -> (2, C)."""
    return batch_moments(x)


@_part
def norm(z, statistics, gamma, beta, *, activation: str):
    """Apply BN with the batch's statistics and an activation: (B, H, W, C), (2, C), (C,), (C,) -> (B, H, W, C)."""
    return normalise(z, statistics, gamma, beta, activation=activation, epsilon=BN_EPSILON)


@_part
@_run_again_backward
def norm_depthwise(z, statistics, gamma, beta, kernel, *, stride: int, activation: str):
    """Apply `norm` and a depthwise convolution: ..., (k, k, C, 1) -> (B, H', W', C)."""
    y = norm(z, statistics, gamma, beta, activation=activation)
    return depthwise(y, tf.cast(kernel, y.dtype), stride=stride)


@_part
@_run_again_backward
def norm_pointwise(z, statistics, gamma, beta, se, kernel, *, activation: str):
    """Apply `norm`, SE unless `se` is empty, and a 1x1 convolution: ..., (C, D) -> (B, H, W, D)."""
    y = norm(z, statistics, gamma, beta, activation=activation)
    return _pointwise(_squeeze_excite(y, *se) if se else y, tf.cast(kernel, y.dtype))


def _squeeze_excite(x, reduce_kernel, reduce_bias, expand_kernel, expand_bias):
    """Apply SE, with a float32 gate: (B, H, W, C), (C, R), (R,), (R, C), (C,) -> (B, H, W, C)."""
    means = tf.reduce_mean(tf.cast(x, tf.float32), axis=(1, 2))
    gate = _clipped(means @ reduce_kernel + reduce_bias)
    gate = _clipped(gate @ expand_kernel + expand_bias + 3.0, high=6.0) * (1.0 / 6.0)
    return x * tf.cast(gate[:, tf.newaxis, tf.newaxis], x.dtype)


def _clipped(z, *, high: float = tf.float32.max):
    """Clip to 0..high, as relu and relu6 do, which TensorFlow lowers to XLA much more slowly (7 ms each)."""
    inside = tf.cast((z > 0.0) & (z < high), z.dtype)
    return z * inside if high == tf.float32.max else z * inside + high * tf.cast(z >= high, z.dtype)


@_part
def _let(x, kernel, *, stride: int):
    """Apply a LET, after max pooling if the stride is 2: (B, H, W, C), (C, D) -> (B, H', W', D)."""
    return _pointwise(tf.nn.max_pool2d(x, 2, 2, "SAME") if stride == 2 else x, tf.cast(kernel, x.dtype))


def _inverted_residual(x, w, norm, block: BlockSpec):
    z = norm.convolve(x, w["expand_conv/kernel"])
    z = norm.depthwise("expand_bn", z, w["depthwise_conv/kernel"], stride=block.stride, activation=block.activation)
    z = norm.pointwise("depthwise_bn", z, w["project_conv/kernel"], se=_se(w, block), activation=block.activation)
    return norm("project_bn", z, "linear")


def _fused_inverted_residual(x, w, norm, block: BlockSpec):
    pad = block.kernel_size // 2
    padded = x if block.stride == 1 else tf.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    kernel = tf.cast(w["expand_conv/kernel"], x.dtype)
    z = tf.nn.conv2d(padded, kernel, block.stride, "SAME" if block.stride == 1 else "VALID")
    z = norm.pointwise("expand_bn", z, w["project_conv/kernel"], se=_se(w, block), activation=block.activation)
    return norm("project_bn", z, "linear")


def _se(w, block: BlockSpec) -> tuple:
    names = ("se_reduce/kernel", "se_reduce/bias", "se_expand/kernel", "se_expand/bias")
    return tuple(w[name] for name in names) if block.has_se else ()


# By kind: (x, weights by name, norm, block) -> (B, H', W', out) before the shortcut. A forward pass calls `norm`, a
# `BatchStatistics`, `GivenStatistics` or `OwnStatistics`, once for every BN, in the order of its `Layout`.
FORWARD_PASSES = {
    "inverted_residual": _inverted_residual,
    "fused_inverted_residual": _fused_inverted_residual,
}


def block_forward(x, w, norm, block: BlockSpec):
    """Run a block of the supernet: (B, H, W, in), weights by name -> (B, H', W', out).

    Args:
        x: feature map.
        w: the block's weights, by the names of the stand-alone model.
        norm: a `BatchStatistics`, `GivenStatistics` or `OwnStatistics`; unused by a LET.
        block: spec of the block.
    """
    if block.kind == "let":
        return _let(x, w["let/kernel"], stride=block.stride)
    y = FORWARD_PASSES[block.kind](x, w, norm, block)
    return x + y if block.shortcut else y


def stem_forward(x, w, norm, *, stride: int):
    """Run the stem and the separable convolution: (B, H, W, 3) -> (B, H', W', first_channels)."""
    padded = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    z = tf.nn.conv2d(padded, tf.cast(w["stem_conv/kernel"], x.dtype), stride, "VALID")
    z = norm.depthwise("stem_bn", z, w["separable_depthwise_conv/kernel"], stride=1, activation="relu6")
    z = norm.pointwise("separable_depthwise_bn", z, w["separable_project_conv/kernel"], activation="relu6")
    return norm("separable_project_bn", z, "linear")


def tail_forward(x, w, norm):
    """Run the tail convolution and global average pooling: (B, H, W, C) -> (B, tail_channels) float32."""
    y = norm("tail_bn", norm.convolve(x, w["tail_conv/kernel"]), "relu6")
    return tf.reduce_mean(tf.cast(y, tf.float32), axis=(1, 2))


class BatchStatistics:
    """BN with the statistics of the batch, for training; the `norm` argument of forward passes.

    BN, activation and the convolution that follows are one part, see `norm_depthwise` and `norm_pointwise`.

    Attributes:
        moments: mean and variance of the batch, (2, C), by the name of the BN; filled by the forward pass.
    """

    def __init__(self, weights) -> None:
        self._weights = weights
        self.moments: dict[str, tf.Tensor] = {}

    def _of(self, name: str, z: tf.Tensor) -> tuple[tf.Tensor, ...]:
        self.moments[name] = moments(z)
        return self.moments[name], self._weights[f"{name}/gamma"], self._weights[f"{name}/beta"]

    def __call__(self, name: str, z, activation: str):
        return norm(z, *self._of(name, z), activation=activation)

    def convolve(self, x, kernel):
        return pointwise(x, kernel)

    def depthwise(self, name: str, z, kernel, *, stride: int, activation: str):
        return norm_depthwise(z, *self._of(name, z), kernel, stride=stride, activation=activation)

    def pointwise(self, name: str, z, kernel, *, activation: str, se=()):
        return norm_pointwise(z, *self._of(name, z), se, kernel, activation=activation)


class _OneByOne:
    """Base class of the norms for evaluation, which needs no gradients: BN, then a separate convolution."""

    def depthwise(self, name: str, z, kernel, *, stride: int, activation: str):
        return depthwise(self(name, z, activation), kernel, stride=stride)

    def pointwise(self, name: str, z, kernel, *, activation: str, se=()):
        y = self(name, z, activation)
        return self.convolve(_squeeze_excite(y, *se) if se else y, kernel)

    def convolve(self, x, kernel):
        # Without a gradient to write out, TensorFlow's convolution is quicker than a product of rows.
        return tf.nn.conv2d(x, kernel[tf.newaxis, tf.newaxis], 1, "VALID")


class GivenStatistics(_OneByOne):
    """BN with given statistics, {BN: (mean, variance)}, (C,) each; the `norm` argument of forward passes."""

    def __init__(self, weights, statistics) -> None:
        self._weights, self._statistics = weights, statistics

    def __call__(self, name: str, z, activation: str):
        mean, variance = self._statistics[name]
        scale = self._weights[f"{name}/gamma"] * tf.math.rsqrt(variance + BN_EPSILON)
        return activate(z * scale + (self._weights[f"{name}/beta"] - mean * scale), activation)


class OwnStatistics(_OneByOne):
    """BN with the exact statistics of its input, to recalibrate BN; the `norm` argument of forward passes.

    Attributes:
        statistics: {BN: (mean, variance)}, (C,) each; filled by the forward pass.
    """

    def __init__(self, weights) -> None:
        self._weights = weights
        self.statistics: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}

    def __call__(self, name: str, z, activation: str):
        mean, variance = self.statistics[name] = tf.nn.moments(z, axes=(0, 1, 2))
        scale = self._weights[f"{name}/gamma"] * tf.math.rsqrt(variance + BN_EPSILON)
        return activate((z - mean) * scale + self._weights[f"{name}/beta"], activation)


def mixed_layer(inputs, weights, blocks, *, recompute: bool):
    """Run the blocks of a layer; at most AT_A_TIME of them at a time, forward and backward.

    Args:
        inputs: a feature map (B, H, W, in) for each run of a block.
        weights: for each run, its weights by name.
        blocks: for each run, its `BlockSpec`.
        recompute: keep only the inputs of the blocks for the backward pass, which repeats their forward passes.

    Returns:
        For each run, a feature map (B, H', W', out) and the moments of its BNs by name.
    """
    run = _run_again_backward(_block_with_moments) if recompute else _block_with_moments
    outputs, moments = [], []
    for x, w, block in zip(inputs, weights, blocks, strict=True):
        if block.kind == "let":
            outputs.append(block_forward(x, w, None, block))
            moments.append({})
            continue
        if len(outputs) >= AT_A_TIME:
            outputs[-AT_A_TIME], x = in_order(outputs[-AT_A_TIME], x)
        y, *block_moments = run(x, w, block=block)
        outputs.append(y)
        moments.append(dict(zip((*BLOCK_KINDS[block.kind].norms, "project_bn"), block_moments, strict=True)))
    return outputs, moments


def _block_with_moments(x, w, *, block: BlockSpec):
    norm = BatchStatistics(w)
    y = block_forward(x, w, norm, block)
    return (y, *norm.moments.values())


@tf.custom_gradient
def _pointwise(x: tf.Tensor, kernel: tf.Tensor):
    """Apply a 1x1 convolution: (B, H, W, C), (C, D) -> (B, H, W, D)."""
    rows = tf.reshape(x, (-1, x.shape[-1]))

    def gradient(dy):
        drows = tf.reshape(dy, (-1, dy.shape[-1]))
        dkernel = tf.matmul(rows, drows, transpose_a=True)
        with tf.control_dependencies([dkernel]):  # see `in_order`
            dx = tf.matmul(drows, kernel, transpose_b=True)
        return tf.reshape(dx, x.shape), dkernel

    return tf.reshape(rows @ kernel, (*x.shape[:-1], kernel.shape[-1])), gradient


@tf.custom_gradient
def in_order(first: tf.Tensor, second: tf.Tensor):
    """Return both tensors unchanged, with a control dependency of `second` on `first`; reversed in the backward pass.

    Blocks that TensorFlow could run in any order then run a few at a time: their feature maps stay in the CPU's caches,
    and few are in memory at once. It has no effect on a single GPU stream or in a compiled TPU program, where the order
    is fixed.
    """

    def gradient(dfirst, dsecond):
        with tf.control_dependencies([dsecond]):
            return tf.identity(dfirst), dsecond

    with tf.control_dependencies([first]):
        return (tf.identity(first), tf.identity(second)), gradient
