"""Batch normalisation and activation in one pass.

TensorFlow's batch normalisation and h-swish run as a dozen operations, and each of them reads and writes the whole
feature map. Here they are two small XLA programs forward and one backward. The gradient is written by hand, so the
backward pass needs only the input and its moments. Under a distribution strategy with several replicas, the moments are
averaged over the replicas between the two forward programs, and the backward program is split in two, so batch
statistics are always those of the global batch.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from scarlet_tf.kernels.device import device_kind

ACTIVATIONS = ("linear", "relu6", "h_swish")


_compiled = functools.partial(tf.function, jit_compile=True, autograph=False)


def activate(z: tf.Tensor, activation: str) -> tf.Tensor:
    """Apply one of ACTIVATIONS; h_swish is z * relu6(z + 3) / 6."""
    if activation == "relu6":
        return tf.minimum(tf.maximum(z, 0.0), 6.0)
    if activation == "h_swish":
        return z * tf.minimum(tf.maximum(z + 3.0, 0.0), 6.0) * (1.0 / 6.0)
    return z


def _slope(z: tf.Tensor, activation: str) -> tf.Tensor:
    """Return the derivative of `activate` for relu6 and h_swish.

    Its constants are scalars: lowering a step to XLA would hold whole feature maps of them, gigabytes at 224 pixels.
    """
    if activation == "relu6":
        return tf.cast((z > 0.0) & (z < 6.0), z.dtype)
    inside = (2.0 * z + 3.0) * (1.0 / 6.0)
    return tf.where(z > 3.0, tf.ones((), z.dtype), tf.where(z < -3.0, tf.zeros((), z.dtype), inside))


def _float(x: tf.Tensor) -> tf.Tensor:
    """Cast to float32, in which 16-bit values are normalised."""
    return tf.cast(x, tf.float32)


def _rows(x: tf.Tensor) -> int:
    """Return the number of values per channel, B*H*W."""
    return x.shape[0] * x.shape[1] * x.shape[2]


def _sums(terms, *maps: tf.Tensor) -> list[tf.Tensor]:
    """Return sums of elementwise terms over batch and space: maps (B, H, W, C) -> a list of (C,).

    `terms(*maps)` returns the tensors to sum. XLA's CPU compiler does not vectorise a reduction of computed values.
    Adding a few pieces of the maps is an elementwise loop, which it vectorises, and leaves a short plain reduction
    (gradient sums of a 9 MB map: 13 -> 3.5 ms on one AVX2 core). Compilers for accelerators fuse the plain form.
    """
    rows = _rows(maps[0])
    pieces = next(n for n in (4, 3, 2, 1) if rows % n == 0) if device_kind() == "cpu" else 1
    split = [tf.reshape(m, (pieces, rows // pieces, m.shape[-1])) for m in maps]
    totals = None
    for piece in range(pieces):
        values = terms(*(m[piece] for m in split))
        totals = values if totals is None else [total + value for total, value in zip(totals, values, strict=True)]
    return [tf.reduce_sum(total, axis=0) for total in totals]


@_compiled
def _moments(x: tf.Tensor) -> tf.Tensor:
    """Return `batch_moments` of one replica's batch, in two passes for accuracy in float32."""
    rows = _rows(x)
    mean = _sums(lambda part: [_float(part)], x)[0] / rows
    variance = _sums(lambda part: [tf.square(_float(part) - mean)], x)[0] / rows
    return tf.stack([mean, variance])


class _Programs:
    """Forward and backward passes for one activation, and their compiled forms."""

    def __init__(self, activation: str, epsilon: float) -> None:
        self.activation = activation
        self.epsilon = epsilon
        self.backward = _compiled(self._backward)
        self.normalise = _compiled(self._normalise)
        self.gradient_sums = _compiled(self._gradient_sums)
        self.input_gradient = _compiled(self._input_gradient)

    def _backward(self, x, dy, statistics, gamma, beta):
        dgamma, dbeta = self._gradient_sums(x, dy, statistics, gamma, beta)
        rows = _rows(x)
        return self._input_gradient(x, dy, statistics, gamma, beta, dgamma / rows, dbeta / rows), dgamma, dbeta

    def _normalise(self, x, statistics, gamma, beta):
        mean, inverse = self._mean_and_inverse(statistics)
        scale = gamma * inverse
        return tf.cast(activate(_float(x) * scale + (beta - mean * scale), self.activation), x.dtype)

    def _mean_and_inverse(self, statistics):
        mean, variance = tf.unstack(statistics)
        # XLA makes rsqrt of it. TensorFlow takes 8 ms to lower one rsqrt, and a step of 19 layers has 3,000.
        return mean, (variance + self.epsilon) ** -0.5

    def _through_activation(self, x, dy, mean, inverse, gamma, beta):
        normalised = (_float(x) - mean) * inverse
        if self.activation == "linear":
            return normalised, _float(dy)
        return normalised, _float(dy) * _slope(normalised * gamma + beta, self.activation)

    def _gradient_sums(self, x, dy, statistics, gamma, beta):
        mean, inverse = self._mean_and_inverse(statistics)

        def terms(x, dy):
            normalised, dz = self._through_activation(x, dy, mean, inverse, gamma, beta)
            return [dz * normalised, dz]

        return _sums(terms, x, dy)

    def _input_gradient(self, x, dy, statistics, gamma, beta, mean_dgamma, mean_dbeta):
        mean, inverse = self._mean_and_inverse(statistics)
        normalised, dz = self._through_activation(x, dy, mean, inverse, gamma, beta)
        centred = dz - mean_dbeta - normalised * mean_dgamma
        return tf.cast(centred * (gamma * inverse), x.dtype)


_programs = functools.cache(_Programs)


def has_many_replicas() -> bool:
    """Return whether the caller is one of several replicas, so that moments must be averaged over them."""
    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


def _average(values):
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)


def batch_moments(x: tf.Tensor) -> tf.Tensor:
    """Return mean and (biased) variance of the global batch, without gradient: (B, H, W, C) -> (2, C) float32."""
    own = _moments(tf.stop_gradient(x))
    if has_many_replicas():
        own_mean, own_variance = tf.unstack(own)
        mean = _average(own_mean)
        own = tf.stack([mean, _average(own_variance + tf.square(own_mean - mean))])
    return own


def normalise(
    x: tf.Tensor, statistics: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, activation: str, epsilon: float
):
    """Normalise, scale, shift and activate `x`: the second half of training-mode BN.

    Args:
        x: (B, H, W, C), floating point.
        statistics: `batch_moments(x)`. They get no gradient: the gradient of x includes what flows through them.
        gamma, beta: (C,) float32.
        activation: one of ACTIVATIONS.
        epsilon: added to the variance.

    Returns:
        A tensor of the shape and dtype of x.
    """
    programs = _programs(activation, epsilon)

    def backward_over_replicas(x, dy, statistics, gamma, beta):
        dgamma, dbeta = programs.gradient_sums(x, dy, statistics, gamma, beta)
        means = _average([dgamma / _rows(x), dbeta / _rows(x)])
        return programs.input_gradient(x, dy, statistics, gamma, beta, *means), dgamma, dbeta

    backward = backward_over_replicas if has_many_replicas() else programs.backward

    @tf.custom_gradient
    def run(x, statistics, gamma, beta):
        def gradient(dy):
            dx, dgamma, dbeta = backward(x, dy, statistics, gamma, beta)
            return dx, None, dgamma, dbeta

        return programs.normalise(x, statistics, gamma, beta), gradient

    # A caller may pass variables, which a custom gradient does not accept.
    return run(x, statistics, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


def batch_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, activation: str, epsilon: float):
    """Return training-mode BN with activation, and `batch_moments(x)`; the arguments are those of `normalise`."""
    statistics = batch_moments(x)
    return normalise(x, statistics, gamma, beta, activation=activation, epsilon=epsilon), statistics
