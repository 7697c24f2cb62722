"""The one forward pass of the supernet's blocks, stem and tail, whichever way BN normalises.

Each kind of block is an entry of KINDS: its weights, its BNs and its forward pass. How it normalises is an argument:
`BatchStatistics` in a fair step, `GivenStatistics` or `OwnStatistics` where paths are evaluated.

A fair step holds hundreds of blocks, but most of them have parts alike. Each part is a TensorFlow function of tensors
alone (weights come as arguments), so a shape is traced, differentiated and compiled once, however often it is used.
Maps may be of 16 bits; weights and statistics are float32, and kernels are cast to what they meet.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from scarlet_tf.arch import BlockSpec
from scarlet_tf.kernels.depthwise import depthwise
from scarlet_tf.kernels.norm import activate, batch_moments, has_many_replicas, normalise
from scarlet_tf.layers import BatchNorm
from scarlet_tf.supernet.settings import AT_A_TIME

BN_EPSILON = BatchNorm().epsilon


def _part(function: Callable) -> Callable:
    """Makes a part of a function. With many replicas it is inlined, as all-reduces cannot be in an inner function."""
    traced = tf.function(function, autograph=False)

    @functools.wraps(function)
    def call(*tensors, **settings):
        return (function if has_many_replicas() else traced)(*tensors, **settings)

    return call


def _run_again_backward(function: Callable) -> Callable:
    """The same function of nested tensors, of which only these are kept for the backward pass.

    What the backward pass needs besides is computed again there; what it does not need, such as a convolution at the
    function's end, is pruned from the graph.
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
    """1x1 convolution: (B, H, W, C), (C, D) -> (B, H, W, D)."""
    return _pointwise(x, tf.cast(kernel, x.dtype))


@_part
def moments(x):
    """`batch_moments`: (B, H, W, C) -> (2, C)."""
    return batch_moments(x)


@_part
def norm(z, statistics, gamma, beta, *, activation: str):
    """BN with the batch's statistics, activation: (B, H, W, C), (2, C), (C,), (C,) -> (B, H, W, C)."""
    return normalise(z, statistics, gamma, beta, activation=activation, epsilon=BN_EPSILON)


@_part
@_run_again_backward
def norm_depthwise(z, statistics, gamma, beta, kernel, *, stride: int, activation: str):
    """`norm`, depthwise convolution: ..., (k, k, C, 1) -> (B, H', W', C)."""
    y = norm(z, statistics, gamma, beta, activation=activation)
    return depthwise(y, tf.cast(kernel, y.dtype), stride=stride)


@_part
@_run_again_backward
def norm_pointwise(z, statistics, gamma, beta, se, kernel, *, activation: str):
    """`norm`, SE where `se` is not empty, 1x1 convolution: ..., (C, D) -> (B, H, W, D)."""
    y = norm(z, statistics, gamma, beta, activation=activation)
    return _pointwise(_squeeze_excite(y, *se) if se else y, tf.cast(kernel, y.dtype))


def _squeeze_excite(x, reduce_kernel, reduce_bias, expand_kernel, expand_bias):
    """SE: (B, H, W, C), (C, R), (R,), (R, C), (C,) -> (B, H, W, C). The gate is float32."""
    means = tf.reduce_mean(tf.cast(x, tf.float32), axis=(1, 2))
    gate = tf.nn.relu(means @ reduce_kernel + reduce_bias)
    gate = tf.nn.relu6(gate @ expand_kernel + expand_bias + 3.0) * (1.0 / 6.0)
    return x * tf.cast(gate[:, tf.newaxis, tf.newaxis], x.dtype)


@_part
def _let(x, kernel, *, stride: int):
    """LET: (B, H, W, C), (C, D) -> (B, H', W', D); at stride 2 behind a max-pooling first."""
    return _pointwise(tf.nn.max_pool2d(x, 2, 2, "SAME") if stride == 2 else x, tf.cast(kernel, x.dtype))


class Weight(NamedTuple):
    """One weight of a block.

    Attributes:
        name: what the stand-alone model calls it, without the block's prefix.
        short: what a supernet's variable is called.
        shape: without leading ones.
        fan_out: of its initialisation N(0, sqrt(2/fan_out)); 0: it starts at zero.
    """

    name: str
    short: str
    shape: tuple[int, ...]
    fan_out: int


class Kind(NamedTuple):
    """How a kind of block works in the supernet.

    Attributes:
        weights: of a `BlockSpec`, a `Weight` each.
        norms: names of the BNs over the hidden channels; "project_bn" over the output comes after them.
        forward: (x, weights by name, norm, block) -> (B, H', W', out) before the shortcut; `norm` normalises by
            batch statistics, given ones or its own, and is asked for every BN in the order of `norms`.
    """

    weights: Callable[[BlockSpec], list[Weight]]
    norms: tuple[str, ...]
    forward: Callable


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


def _inverted_residual(x, w, norm, block: BlockSpec):
    z = pointwise(x, w["expand_conv/kernel"])
    z = norm.depthwise("expand_bn", z, w["depthwise_conv/kernel"], stride=block.stride, activation=block.activation)
    z = norm.pointwise("depthwise_bn", z, w["project_conv/kernel"], se=_se(w, block), activation=block.activation)
    return norm("project_bn", z, "linear")


def _fused_weights(block: BlockSpec) -> list[Weight]:
    hidden, kernel = block.hidden_channels, block.kernel_size
    shape = (kernel, kernel, block.in_channels, hidden)
    return [Weight("expand_conv/kernel", "expand", shape, kernel**2 * hidden), *_se_and_project_weights(block)]


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


KINDS = {
    "inverted_residual": Kind(_inverted_residual_weights, ("expand_bn", "depthwise_bn"), _inverted_residual),
    "fused_inverted_residual": Kind(_fused_weights, ("expand_bn",), _fused_inverted_residual),
}


def block_forward(x, w, norm, block: BlockSpec):
    """Run a block of the supernet: (B, H, W, in), weights by name -> (B, H', W', out)."""
    if block.kind == "let":
        return _let(x, w["let/kernel"], stride=block.stride)
    y = KINDS[block.kind].forward(x, w, norm, block)
    return x + y if block.shortcut else y


def stem_forward(x, w, norm, *, stride: int):
    """Run stem and separable convolution: (B, H, W, 3) -> (B, H', W', first_channels)."""
    padded = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    z = tf.nn.conv2d(padded, tf.cast(w["stem_conv/kernel"], x.dtype), stride, "VALID")
    z = norm.depthwise("stem_bn", z, w["separable_depthwise_conv/kernel"], stride=1, activation="relu6")
    z = norm.pointwise("separable_depthwise_bn", z, w["separable_project_conv/kernel"], activation="relu6")
    return norm("separable_project_bn", z, "linear")


def tail_forward(x, w, norm):
    """Run tail convolution and global pool: (B, H, W, C) -> (B, tail_channels) float32."""
    y = norm("tail_bn", pointwise(x, w["tail_conv/kernel"]), "relu6")
    return tf.reduce_mean(tf.cast(y, tf.float32), axis=(1, 2))


class BatchStatistics:
    """Normalise by the statistics of the batch: training's way, with passes fused.

    Attributes:
        moments: mean and variance of the batch at each BN by name, (2, C) each, once the forward pass has run.
    """

    def __init__(self, weights) -> None:
        self._weights = weights
        self.moments: dict[str, tf.Tensor] = {}

    def _of(self, name: str, z: tf.Tensor) -> tuple[tf.Tensor, ...]:
        self.moments[name] = moments(z)
        return self.moments[name], self._weights[f"{name}/gamma"], self._weights[f"{name}/beta"]

    def __call__(self, name: str, z, activation: str):
        return norm(z, *self._of(name, z), activation=activation)

    def depthwise(self, name: str, z, kernel, *, stride: int, activation: str):
        return norm_depthwise(z, *self._of(name, z), kernel, stride=stride, activation=activation)

    def pointwise(self, name: str, z, kernel, *, activation: str, se=()):
        return norm_pointwise(z, *self._of(name, z), se, kernel, activation=activation)


class _OneByOne:
    """Normalise, then convolve: for forward passes without gradients."""

    def depthwise(self, name: str, z, kernel, *, stride: int, activation: str):
        return depthwise(self(name, z, activation), kernel, stride=stride)

    def pointwise(self, name: str, z, kernel, *, activation: str, se=()):
        y = self(name, z, activation)
        return _pointwise(_squeeze_excite(y, *se) if se else y, kernel)


class GivenStatistics(_OneByOne):
    """Normalise by given statistics: {BN: (mean, variance)}, (C,) each."""

    def __init__(self, weights, statistics) -> None:
        self._weights, self._statistics = weights, statistics

    def __call__(self, name: str, z, activation: str):
        mean, variance = self._statistics[name]
        scale = self._weights[f"{name}/gamma"] * tf.math.rsqrt(variance + BN_EPSILON)
        return activate(z * scale + (self._weights[f"{name}/beta"] - mean * scale), activation)


class OwnStatistics(_OneByOne):
    """Normalise by the map's own statistics and keep them, as {BN: (mean, variance)}: how BN is recalibrated."""

    def __init__(self, weights) -> None:
        self._weights = weights
        self.statistics: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}

    def __call__(self, name: str, z, activation: str):
        mean, variance = self.statistics[name] = tf.nn.moments(z, axes=(0, 1, 2))
        scale = self._weights[f"{name}/gamma"] * tf.math.rsqrt(variance + BN_EPSILON)
        return activate((z - mean) * scale + self._weights[f"{name}/beta"], activation)


def mixed_layer(inputs, weights, blocks, *, recompute: bool):
    """Run the blocks of a layer, AT_A_TIME of them at a time, forward and backward.

    Args:
        inputs: a map (B, H, W, in) for every run of a block.
        weights: every run's weights by name.
        blocks: every run's `BlockSpec`.
        recompute: keep only the inputs of blocks for the backward pass, and run each block's forward pass again there.

    Returns:
        A map (B, H', W', out) for every run, and the moments of every run's BNs by name.
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
        moments.append(dict(zip((*KINDS[block.kind].norms, "project_bn"), block_moments, strict=True)))
    return outputs, moments


def _block_with_moments(x, w, *, block: BlockSpec):
    norm = BatchStatistics(w)
    y = block_forward(x, w, norm, block)
    return (y, *norm.moments.values())


@tf.custom_gradient
def _pointwise(x: tf.Tensor, kernel: tf.Tensor):
    """1x1 convolution: (B, H, W, C), (C, D) -> (B, H, W, D)."""
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
    """Both as they are, but what needs `second` waits for `first`; backward the other way round.

    So of blocks that could run in any order few run at a time, while their maps are in the caches, and no more maps are
    alive than needed. On one GPU stream or a compiled TPU program, where order is given, it changes nothing.
    """

    def gradient(dfirst, dsecond):
        with tf.control_dependencies([dsecond]):
            return tf.identity(dfirst), dsecond

    with tf.control_dependencies([first]):
        return (tf.identity(first), tf.identity(second)), gradient
