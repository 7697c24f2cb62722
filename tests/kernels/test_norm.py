import numpy as np
import pytest
import tensorflow as tf
from rounding import rounding_limit

from scarlet_tf.kernels.norm import ACTIVATIONS, activate, batch_norm

EPSILON = 1e-5


def reference(x, gamma, beta, activation):
    """Batch normalisation as TensorFlow's own operations and their gradients have it, in float64."""
    mean, variance = tf.nn.moments(x, axes=(0, 1, 2))
    z = (x - mean) / tf.sqrt(variance + EPSILON) * gamma + beta
    return activate(z, activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(2, 4, 4), (3, 5, 7), (1, 1, 2)])
def test_forward_and_gradients_equal_autodiff(activation, shape):
    rng = np.random.default_rng(0)
    x = (2 * rng.standard_normal((*shape, 6)) + 3).astype(np.float32)
    gamma = rng.uniform(0.5, 2.0, 6).astype(np.float32)
    beta = rng.standard_normal(6).astype(np.float32)
    weight = rng.standard_normal(x.shape).astype(np.float32)

    def run(function, dtype):
        inputs = [tf.constant(v, dtype) for v in (x, gamma, beta)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
            loss = tf.reduce_sum(y * tf.cast(weight, dtype))
        return [y, *tape.gradient(loss, inputs)]

    ours = run(lambda *a: batch_norm(*a, activation=activation, epsilon=EPSILON)[0], tf.float32)
    exact = run(lambda *a: reference(*a, activation), tf.float64)
    # Rounding of x counts as often as x is larger than its deviation; a gradient of x is a difference of larger terms.
    deviation = x.std(axis=(0, 1, 2), dtype=np.float64).min()
    limit = rounding_limit(x.size // 6, x.size // 6, 8) * np.abs(x).max() / deviation
    terms = np.abs(weight).max() * np.array([1.0, gamma.max() / deviation, 1.0, 1.0])
    for got, expected, term in zip(ours, exact, terms, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=limit * max(term, float(tf.reduce_max(tf.abs(expected)))))


def test_statistics_are_those_of_the_batch():
    x = np.random.default_rng(1).normal(50.0, 0.1, (16, 4, 4, 3)).astype(np.float32)
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    _, (mean, variance) = batch_norm(tf.constant(x), ones, zeros, activation="linear", epsilon=EPSILON)
    exact = x.astype(np.float64).reshape(-1, 3)
    limit = rounding_limit(256)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=limit)
    # A one-pass E[x^2] - E[x]^2 would lose all digits here: mean^2 / variance is 250,000. In two passes
    # the mean's error, squared, is in every term.
    np.testing.assert_allclose(variance, exact.var(0), rtol=2 * limit + 250_000 * limit**2)
