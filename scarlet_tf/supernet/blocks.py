"""The computation of a mixed layer from its parts, each traced once for every shape it meets.

A fair step holds 19 x 13 blocks, but most of them have parts alike. Each part is a TensorFlow function of tensors alone
(weights come as arguments), so a shape is traced, differentiated and compiled once, however often it is used. All
normalisations use batch statistics, and return them. Maps may be of 16 bits; weights and statistics are float32, and
kernels are cast to what they meet.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from scarlet_tf.layers import BatchNorm
from scarlet_tf.layers.norm import batch_moments, has_many_replicas, normalise
from scarlet_tf.supernet.depthwise import depthwise
from scarlet_tf.supernet.settings import AT_A_TIME

BN_EPSILON = BatchNorm().epsilon

Scales = tuple[tf.Tensor, tf.Tensor]


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


class GroupWeights(NamedTuple):
    """Weights of the blocks of one expansion, stacked by slot: BNs are (gamma, beta), SE two kernels with biases."""

    expand: tf.Tensor
    expand_bn: Scales
    depthwise: tuple[tf.Tensor, ...]
    depthwise_bn: Scales
    se: tuple[tf.Tensor, ...]
    project: tf.Tensor

    def blocks(self) -> list[BlockWeights]:
        """Each slot's weights; the later half of the slots has SE."""
        slots = len(self.depthwise)
        se = [()] * (slots - self.se[0].shape[0]) + _by_slot(self.se)
        return [
            BlockWeights(*slot)
            for slot in zip(
                tf.unstack(self.expand),
                _by_slot(self.expand_bn),
                self.depthwise,
                _by_slot(self.depthwise_bn),
                se,
                tf.unstack(self.project),
                strict=True,
            )
        ]


class BlockWeights(NamedTuple):
    """Weights of an inverted residual but for its last BN; without SE `se` is empty."""

    expand: tf.Tensor
    expand_bn: Scales
    depthwise: tf.Tensor
    depthwise_bn: Scales
    se: tuple[tf.Tensor, ...]
    project: tf.Tensor


def _by_slot(stacked: tuple[tf.Tensor, ...]) -> list[tuple[tf.Tensor, ...]]:
    return list(zip(*map(tf.unstack, stacked), strict=True))


class BlockMoments(NamedTuple):
    """Mean and variance of the batch at each BN of an inverted residual, (2, C) each."""

    expand: tf.Tensor
    depthwise: tf.Tensor
    project: tf.Tensor


def mixed_layer(inputs, groups, project_bn, let_kernel, *, stride: int, shortcut: bool, recompute: bool):
    """All slots of a layer, AT_A_TIME of them at a time, forward and backward.

    Args:
        inputs: a map (B, H, W, in) for every slot.
        groups: a `GroupWeights` for each expansion.
        project_bn: scales of the blocks' last BN, (blocks, out) each.
        let_kernel: (in, out), or None where the layer has no identity.
        recompute: keep only the inputs of blocks for the backward pass, and run each block's forward pass again there.

    Returns:
        A map (B, H', W', out) for every slot, and a `BlockMoments` for every block.
    """
    block = functools.partial(_inverted_residual, stride=stride, shortcut=shortcut)
    if recompute:
        block = _run_again_backward(block)
    weights = [weights for group in groups for weights in group.blocks()]
    outputs, moments = [], []
    for x, w, last_bn in zip(inputs[: len(weights)], weights, _by_slot(project_bn), strict=True):
        if len(outputs) >= AT_A_TIME:
            outputs[-AT_A_TIME], x = in_order(outputs[-AT_A_TIME], x)
        y, *block_moments = block(x, w, last_bn)
        outputs.append(y)
        moments.append(BlockMoments(*block_moments))
    if let_kernel is not None:
        outputs.append(_let(inputs[-1], let_kernel, stride=stride))
    return outputs, moments


def _inverted_residual(x, w: BlockWeights, project_bn: Scales, *, stride: int, shortcut: bool):
    """(B, H, W, in) -> (B, H', W', out), and the tensors of `BlockMoments`."""
    z = pointwise(x, w.expand)
    expand = moments(z)
    z = norm_depthwise(z, expand, *w.expand_bn, w.depthwise, stride=stride, activation="h_swish")
    depthwise = moments(z)
    z = norm_pointwise(z, depthwise, *w.depthwise_bn, w.se, w.project, activation="h_swish")
    project = moments(z)
    y = norm(z, project, *project_bn, activation="linear")
    return x + y if shortcut else y, expand, depthwise, project


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
