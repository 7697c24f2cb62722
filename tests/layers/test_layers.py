"""The bricks against NumPy: activations, padding at stride 2, SE, pooling, LET; in both Keras modules."""

import keras
import numpy as np
import pytest
import tf_keras
from rounding import rounding_limit

from scarlet_tf import layers
from scarlet_tf.arch import BlockSpec

BOTH = pytest.mark.parametrize("module", [keras, tf_keras], ids=["keras", "tf_keras"])


def run(function, x, module, **options):
    """(output, model) of a brick on x."""
    inputs = module.Input(x.shape[1:])
    model = module.Model(inputs, function(inputs, keras=module, name="brick", **options))
    return np.asarray(model(x)), model


def relu6(x):
    return np.clip(x, 0, 6)


@BOTH
@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (layers.relu6, relu6),
        (layers.h_swish, lambda x: x * relu6(x + 3) / 6),
        (layers.h_sigmoid, lambda x: relu6(x + 3) / 6),
    ],
)
def test_activations(module, function, reference):
    x = np.linspace(-8, 8, 161, dtype=np.float32).reshape(1, -1)
    output, _ = run(function, x, module)
    # A sum, a product and a division of values up to 8; near -3 the sum cancels.
    np.testing.assert_allclose(output, reference(x), atol=8 * rounding_limit(3))


def depthwise_reference(x, kernel, stride):
    """PyTorch's depthwise convolution: kernel_size//2 zeros on every side; x (B, H, W, C), kernel (k, k, C)."""
    size = kernel.shape[0]
    pad = size // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    output = np.zeros((x.shape[0], height, width, x.shape[3]))
    for i in range(height):
        for j in range(width):
            window = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
            output[:, i, j] = np.einsum("bklc,klc->bc", window, kernel)
    return output


@pytest.mark.parametrize("field", ["epsilon", "momentum"])
@pytest.mark.parametrize("value", [-0.1, float("inf"), "0.1", None])
def test_settings_of_batch_norm_are_checked(field, value):
    with pytest.raises(ValueError, match=f"{field} of batch normalisation must be a number .*, got {value!r}"):
        layers.BatchNorm(**{field: value})


@BOTH
@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [14, 15])
def test_depthwise_padding(module, size, stride, side):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, side, side, 3)).astype(np.float32)
    bn = layers.BatchNorm(epsilon=0.0)
    _, model = run(layers.depthwise_bn, x, module, bn=bn, kernel_size=size, stride=stride)
    kernel = rng.standard_normal((size, size, 3, 1)).astype(np.float32)
    model.get_layer("brick_conv").set_weights([kernel])
    reference = depthwise_reference(x, kernel[..., 0], stride)
    assert reference.shape[1] == -(-side // stride)
    np.testing.assert_allclose(np.asarray(model(x)), reference, atol=rounding_limit(size**2) * np.abs(reference).max())


@BOTH
def test_squeeze_excite(module):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 5, 4, 8)).astype(np.float32)
    _, model = run(layers.squeeze_excite, x, module, se_channels=2)
    weights = [rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()]
    model.set_weights(weights)
    reduce, reduce_bias, expand, expand_bias = weights
    gate = np.maximum(x.mean((1, 2)) @ reduce[0, 0] + reduce_bias, 0) @ expand[0, 0] + expand_bias
    expected = x * (relu6(gate + 3) / 6)[:, None, None, :]
    # The mean over 20 positions, sums of 8 and 2 terms, the gate's four operations and the product with x.
    limit = rounding_limit(20, 8, 2, 5) * np.abs(x).max() * max(6.0, np.abs(gate).max()) / 6
    np.testing.assert_allclose(np.asarray(model(x)), expected, atol=limit)


@BOTH
@pytest.mark.parametrize("side", [4, 5])
def test_identity_pools_in_ceil_mode(module, side):
    x = np.random.default_rng(2).standard_normal((1, side, side, 2)).astype(np.float32)
    block = BlockSpec(kind="identity", in_channels=2, out_channels=2, stride=2)
    output, _ = run(layers.identity, x, module, block=block)
    half = -(-side // 2)
    expected = [[x[0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((0, 1)) for j in range(half)] for i in range(half)]
    np.testing.assert_array_equal(output[0], expected)


@BOTH
@pytest.mark.parametrize("kind", ["let", "let_relu"])
def test_let_is_one_matrix_after_the_pool_and_may_have_a_relu(module, kind):
    x = np.random.default_rng(3).standard_normal((1, 4, 4, 2)).astype(np.float32)
    block = BlockSpec(kind=kind, in_channels=2, out_channels=3, stride=2)
    output, model = run(layers.linearly_equivalent_transform, x, module, block=block)
    (kernel,) = model.get_weights()
    assert kernel.shape == (1, 1, 2, 3)
    pooled = x.reshape(1, 2, 2, 2, 2, 2).max((2, 4))
    expected = pooled @ kernel[0, 0]
    assert expected.min() < 0
    expected = np.maximum(expected, 0) if kind == "let_relu" else expected
    np.testing.assert_allclose(output, expected, atol=rounding_limit(2) * np.abs(expected).max())


@pytest.mark.parametrize(("shortcut", "adds"), [(True, 1), (False, 0)])
def test_shortcut_is_the_specs(shortcut, adds):
    block = BlockSpec(
        kind="inverted_residual",
        in_channels=4,
        out_channels=4,
        kernel_size=3,
        hidden_channels=12,
        shortcut=shortcut,
    )
    x = np.zeros((1, 4, 4, 4), np.float32)
    _, model = run(layers.inverted_residual, x, keras, block=block, bn=layers.BatchNorm())
    assert sum(isinstance(layer, keras.layers.Add) for layer in model.layers) == adds


def test_official_initialisation():
    """Convolutions N(0, sqrt(2 / (k*k*out))), BN epsilon 1e-5 and momentum 0.9."""
    keras.utils.set_random_seed(0)
    x = np.zeros((1, 8, 8, 64), np.float32)
    _, model = run(layers.conv_bn, x, keras, filters=128, kernel_size=3, bn=layers.BatchNorm())
    kernel = np.asarray(model.get_layer("brick_conv").kernel)
    assert kernel.std() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=4 / (2 * kernel.size) ** 0.5)
    norm = model.get_layer("brick_bn")
    assert (norm.epsilon, norm.momentum) == (1e-5, 0.9)
