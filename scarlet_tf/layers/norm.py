"""Batch normalisation and activation in one pass, for stacked feature maps.

TensorFlow's own batch normalisation and h-swish run as a dozen operations that each read and write the whole map. Here
they are one small XLA program forward and one backward, with the gradient written out: only the input and its moments
are kept for the backward pass. Under a distribution strategy with several replicas each program is cut in two, and in
between the moments are averaged over the replicas, so batch statistics are always those of the global batch.
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


def _rows(x: tf.Tensor) -> int:
    """Values that a channel has in a slot: B*H*W."""
    return x.shape[1] * x.shape[2] * x.shape[3]


def _sums(terms, *maps: tf.Tensor) -> list[tf.Tensor]:
    """Sums over batch and space of elementwise terms: maps (S, B, H, W, C) -> a list of (S, C).

    `terms(*maps)` gives the tensors to sum. XLA's CPU compiler leaves a reduction of computed values scalar; the sum
    of a few pieces written out is an elementwise loop, which it vectorises, and leaves a short plain reduction
    (gradient sums of a 9 MB map: 13 -> 3.5 ms on one AVX2 core). Other compilers fuse either form.
    """
    slots, channels, rows = maps[0].shape[0], maps[0].shape[-1], _rows(maps[0])
    pieces = next(n for n in (4, 3, 2, 1) if rows % n == 0)
    split = [tf.reshape(m, (slots, pieces, rows // pieces, channels)) for m in maps]
    totals = None
    for piece in range(pieces):
        values = terms(*(m[:, piece, tf.newaxis, tf.newaxis] for m in split))
        totals = values if totals is None else [total + value for total, value in zip(totals, values, strict=True)]
    return [tf.reduce_sum(total, axis=(1, 2, 3)) for total in totals]


def moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance over batch and space: (S, B, H, W, C) -> two (S, C). Two passes, for float32's sake."""
    rows = _rows(x)
    mean = _sums(lambda part: [part], x)[0] / rows
    variance = _sums(lambda part: [tf.square(part - _per_slot(mean))], x)[0] / rows
    return mean, variance


class _Programs:
    """The passes of one activation, and their compiled forms."""

    def __init__(self, activation: str, epsilon: float) -> None:
        self.activation = activation
        self.epsilon = epsilon
        compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
        self.forward = compiled(self._forward)
        self.backward = compiled(self._backward)
        self.moments = compiled(moments)
        self.normalise = compiled(self._normalise)
        self.gradient_sums = compiled(self._gradient_sums)
        self.input_gradient = compiled(self._input_gradient)

    def _forward(self, x, gamma, beta):
        mean, variance = moments(x)
        return self._normalise(x, mean, variance, gamma, beta), mean, variance

    def _backward(self, x, dy, mean, variance, gamma, beta):
        dgamma, dbeta = self._gradient_sums(x, dy, mean, variance, gamma, beta)
        rows = _rows(x)
        return self._input_gradient(x, dy, mean, variance, gamma, beta, dgamma / rows, dbeta / rows), dgamma, dbeta

    def _normalise(self, x, mean, variance, gamma, beta):
        scale = gamma * tf.math.rsqrt(variance + self.epsilon)
        return activate(x * _per_slot(scale) + _per_slot(beta - mean * scale), self.activation)

    def _through_activation(self, x, dy, mean, inverse, gamma, beta):
        normalised = (x - _per_slot(mean)) * _per_slot(inverse)
        if self.activation == "linear":
            return normalised, dy
        return normalised, dy * _slope(normalised * _per_slot(gamma) + _per_slot(beta), self.activation)

    def _gradient_sums(self, x, dy, mean, variance, gamma, beta):
        inverse = tf.math.rsqrt(variance + self.epsilon)

        def terms(x, dy):
            normalised, dz = self._through_activation(x, dy, mean, inverse, gamma, beta)
            return [dz * normalised, dz]

        return _sums(terms, x, dy)

    def _input_gradient(self, x, dy, mean, variance, gamma, beta, mean_dgamma, mean_dbeta):
        inverse = tf.math.rsqrt(variance + self.epsilon)
        normalised, dz = self._through_activation(x, dy, mean, inverse, gamma, beta)
        centred = dz - _per_slot(mean_dbeta) - normalised * _per_slot(mean_dgamma)
        return centred * _per_slot(gamma * inverse)


_programs = functools.cache(_Programs)


def _replica_context() -> tf.distribute.ReplicaContext | None:
    """The context where moments must be averaged over replicas; None where there is one replica."""
    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context


def _forward_over_replicas(context, programs: _Programs, x, gamma, beta):
    average = functools.partial(context.all_reduce, tf.distribute.ReduceOp.MEAN)
    own_mean, own_variance = programs.moments(x)
    mean = average(own_mean)
    variance = average(own_variance + tf.square(own_mean - mean))
    return programs.normalise(x, mean, variance, gamma, beta), mean, variance


def _backward_over_replicas(context, programs: _Programs, x, dy, mean, variance, gamma, beta):
    dgamma, dbeta = programs.gradient_sums(x, dy, mean, variance, gamma, beta)
    means = context.all_reduce(tf.distribute.ReduceOp.MEAN, [dgamma / _rows(x), dbeta / _rows(x)])
    return programs.input_gradient(x, dy, mean, variance, gamma, beta, *means), dgamma, dbeta


def batch_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, activation: str, epsilon: float):
    """Training-mode BN with activation.

    Args:
        x: (S, B, H, W, C) float; every slot s has statistics of its own.
        gamma, beta: (S, C), or (1, C) where the slots share them.
        activation: one of ACTIVATIONS.

    Returns:
        y like x, and the batch mean and (biased) variance, both (S, C), which carry no gradient.
    """
    programs = _programs(activation, epsilon)
    context = _replica_context()
    forward, backward = programs.forward, programs.backward
    if context:
        forward = functools.partial(_forward_over_replicas, context, programs)
        backward = functools.partial(_backward_over_replicas, context, programs)

    @tf.custom_gradient
    def run(x, gamma, beta):
        y, mean, variance = forward(x, gamma, beta)

        def gradient(dy, _dmean, _dvariance):
            dx, dgamma, dbeta = backward(x, dy, mean, variance, gamma, beta)
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
    return _programs(activation, epsilon).normalise(x, mean, variance, gamma, beta)
