"""Batch normalisation and activation in one pass, for stacked feature maps.

TensorFlow's own batch normalisation and h-swish run as a dozen operations that each read and write the whole map. Here
they are two small XLA programs forward (moments; normalise and activate) and two backward, with the gradient written
out: only the input and its moments are kept for the backward pass. Between the two programs the moments are averaged
over the replicas of the distribution strategy, so batch statistics are always those of the global batch.
"""

from __future__ import annotations

import functools

import tensorflow as tf

ACTIVATIONS = ("linear", "relu6", "h_swish")


def activate(z: tf.Tensor, activation: str) -> tf.Tensor:
    """One of ACTIVATIONS; h_swish is z * relu6(z + 3) / 6."""
    if activation == "relu6":
        return tf.minimum(tf.maximum(z, 0.0), 6.0)
    if activation == "h_swish":
        return z * tf.minimum(tf.maximum(z + 3.0, 0.0), 6.0) * (1.0 / 6.0)
    return z


def _slope(z: tf.Tensor, activation: str) -> tf.Tensor:
    """Derivative of `activate`."""
    if activation == "relu6":
        return tf.cast((z > 0.0) & (z < 6.0), z.dtype)
    if activation == "h_swish":
        inside = (2.0 * z + 3.0) * (1.0 / 6.0)
        return tf.where(z > 3.0, tf.ones_like(z), tf.where(z < -3.0, tf.zeros_like(z), inside))
    return tf.ones_like(z)


def _per_slot(vector: tf.Tensor) -> tf.Tensor:
    """(S, C) -> (S, 1, 1, 1, C), against maps (S, B, H, W, C)."""
    return vector[:, tf.newaxis, tf.newaxis, tf.newaxis, :]


def _sums(terms, *maps: tf.Tensor) -> list[tf.Tensor]:
    """Sums over batch and space of elementwise terms: maps (S, B, H, W, C) -> a list of (S, C).

    `terms(*maps)` gives the tensors to sum. XLA's CPU compiler leaves a reduction of computed values scalar; the sum
    of a few pieces written out is an elementwise loop, which it vectorises, and leaves a short plain reduction
    (gradient sums of a 9 MB map: 13 -> 3.5 ms on one AVX2 core). Other compilers fuse either form.
    """
    slots, batch, height, width, channels = maps[0].shape
    rows = batch * height * width
    pieces = next(n for n in (4, 3, 2, 1) if rows % n == 0)
    split = [tf.reshape(m, (slots, pieces, rows // pieces, channels)) for m in maps]
    totals = None
    for piece in range(pieces):
        values = terms(*(m[:, piece, tf.newaxis, tf.newaxis] for m in split))
        totals = values if totals is None else [total + value for total, value in zip(totals, values, strict=True)]
    return [tf.reduce_sum(total, axis=(1, 2, 3)) for total in totals]


@tf.function(jit_compile=True)
def moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance over batch and space: (S, B, H, W, C) -> two (S, C). Two passes, for float32's sake."""
    rows = x.shape[1] * x.shape[2] * x.shape[3]
    mean = _sums(lambda part: [part], x)[0] / rows
    variance = _sums(lambda part: [tf.square(part - _per_slot(mean))], x)[0] / rows
    return mean, variance


@functools.cache
def _programs(activation: str, epsilon: float):
    """The compiled passes (normalise, gradient sums, input gradient) of one activation."""

    @tf.function(jit_compile=True)
    def normalise(x, mean, variance, gamma, beta):
        scale = gamma * tf.math.rsqrt(variance + epsilon)
        return activate(x * _per_slot(scale) + _per_slot(beta - mean * scale), activation)

    def through_activation(x, dy, mean, inverse, gamma, beta):
        normalised = (x - _per_slot(mean)) * _per_slot(inverse)
        if activation == "linear":
            return normalised, dy
        return normalised, dy * _slope(normalised * _per_slot(gamma) + _per_slot(beta), activation)

    @tf.function(jit_compile=True)
    def gradient_sums(x, dy, mean, variance, gamma, beta):
        inverse = tf.math.rsqrt(variance + epsilon)

        def terms(x, dy):
            normalised, dz = through_activation(x, dy, mean, inverse, gamma, beta)
            return [dz * normalised, dz]

        return _sums(terms, x, dy)

    @tf.function(jit_compile=True)
    def input_gradient(x, dy, mean, variance, gamma, beta, mean_dgamma, mean_dbeta):
        inverse = tf.math.rsqrt(variance + epsilon)
        normalised, dz = through_activation(x, dy, mean, inverse, gamma, beta)
        centred = dz - _per_slot(mean_dbeta) - normalised * _per_slot(mean_dgamma)
        return centred * _per_slot(gamma * inverse)

    return normalise, gradient_sums, input_gradient


def _mean_over_replicas(*tensors: tf.Tensor) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return list(tensors)
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, list(tensors))


def global_moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`moments` over the batches of all replicas, which must be of equal size."""
    own_mean, own_variance = moments(x)
    (mean,) = _mean_over_replicas(own_mean)
    (variance,) = _mean_over_replicas(own_variance + tf.square(own_mean - mean))
    return mean, variance


def batch_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, activation: str, epsilon: float):
    """Training-mode BN with activation.

    Args:
        x: (S, B, H, W, C) float; every slot s has statistics of its own.
        gamma, beta: (S, C), or (1, C) where the slots share them.
        activation: one of ACTIVATIONS.

    Returns:
        y like x, and the batch mean and (biased) variance, both (S, C), which carry no gradient.
    """
    normalise, gradient_sums, input_gradient = _programs(activation, epsilon)

    @tf.custom_gradient
    def run(x, gamma, beta):
        mean, variance = global_moments(x)
        y = normalise(x, mean, variance, gamma, beta)

        def gradient(dy, _dmean, _dvariance):
            dgamma, dbeta = gradient_sums(x, dy, mean, variance, gamma, beta)
            count = tf.cast(tf.size(x[0, ..., 0]), x.dtype)
            mean_dgamma, mean_dbeta = _mean_over_replicas(dgamma / count, dbeta / count)
            dx = input_gradient(x, dy, mean, variance, gamma, beta, mean_dgamma, mean_dbeta)
            if gamma.shape[0] == 1 and x.shape[0] != 1:
                dgamma, dbeta = (tf.reduce_sum(d, axis=0, keepdims=True) for d in (dgamma, dbeta))
            return dx, dgamma, dbeta

        return (y, mean, variance), gradient

    return run(x, gamma, beta)


def inference_norm(
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    *,
    mean: tf.Tensor,
    variance: tf.Tensor,
    activation: str,
    epsilon: float,
) -> tf.Tensor:
    """BN with given statistics, and activation; same shapes as `batch_norm`."""
    normalise, _, _ = _programs(activation, epsilon)
    return normalise(x, mean, variance, gamma, beta)
