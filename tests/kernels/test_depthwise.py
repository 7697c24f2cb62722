import numpy as np
import pytest
import tensorflow as tf
from rounding import rounding_limit

from scarlet_tf.kernels.depthwise import depthwise


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [(8, 8), (7, 9), (1, 2), (4, 5)])
def test_output_and_gradients_equal_tensorflows_own(kernel_size, stride, side):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((2, *side, 5)).astype(np.float32))
    kernel = tf.constant(rng.standard_normal((kernel_size, kernel_size, 5, 1)).astype(np.float32))
    pad = (kernel_size // 2, kernel_size // 2)

    def reference(x, kernel):
        padded = tf.pad(x, ((0, 0), pad, pad, (0, 0)))
        return tf.nn.depthwise_conv2d(padded, kernel, (1, stride, stride, 1), "VALID")

    results = []
    for function in (lambda *a: depthwise(*a, stride=stride), reference):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = function(x, kernel)
            loss = tf.reduce_sum(tf.sin(y))
        results.append([y, *tape.gradient(loss, [x, kernel])])
    assert results[0][0].shape[1:3] == tuple(-(-n // stride) for n in side)
    for got, expected in zip(*results, strict=True):
        scale = float(tf.reduce_max(tf.abs(expected)))
        np.testing.assert_allclose(got, expected, atol=2 * rounding_limit(kernel_size**2, 2 * 64, 49) * scale)
