import keras
import numpy as np
import pytest

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.models import build
from scarlet_tf.training.config import train_config
from scarlet_tf.training.optimizers import decayed_variables, ema_decay, l2_penalty, make_optimizer

BLOCK = BlockSpec(
    kind="inverted_residual",
    in_channels=8,
    out_channels=8,
    kernel_size=3,
    hidden_channels=24,
    se_channels=6,
    shortcut=True,
)
CHANNELS = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16}
SPEC = ArchSpec(name="tiny", blocks=(BLOCK,), resolution=16, classes=3, **CHANNELS)


def steps(config, gradients, start):
    optimizer, variable = make_optimizer(config, 0.1), keras.Variable(start)
    path = []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        path.append(variable.numpy().copy())
    return path


@pytest.fixture
def gradients():
    return np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32) * 0.05


def test_rmsprop_has_epsilon_inside_the_root(gradients):
    w = np.ones(4, np.float32)
    found = steps(train_config("paper"), gradients, w)
    v = m = np.zeros(4)
    for gradient, after in zip(gradients, found, strict=True):
        v = 0.9 * v + 0.1 * gradient**2
        m = 0.9 * m + 0.1 * gradient / np.sqrt(v + 1e-3)
        w = w - m
        np.testing.assert_allclose(after, w, rtol=1e-5)
    outside = 1 - 0.1 * gradients[0] / (np.sqrt(0.1 * gradients[0] ** 2) + 1e-3)
    assert np.abs(found[0] - outside).max() > 0.1


def test_sgd_is_nesterovs(gradients):
    w, m = np.ones(4), np.zeros(4)
    config = train_config("small", optimizer="sgd", momentum=0.9)
    for gradient, after in zip(gradients, steps(config, gradients, np.ones(4, np.float32)), strict=True):
        m = 0.9 * m - 0.1 * gradient
        w = w + 0.9 * m - 0.1 * gradient
        np.testing.assert_allclose(after, w, rtol=1e-5)


def test_adam_takes_beta_1_from_momentum(gradients):
    w, m, v = np.ones(4), np.zeros(4), np.zeros(4)
    config = train_config("small", optimizer="adam", momentum=0.8, epsilon=1e-7)
    found = steps(config, gradients, np.ones(4, np.float32))
    for t, (gradient, after) in enumerate(zip(gradients, found, strict=True), 1):
        m, v = 0.8 * m + 0.2 * gradient, 0.999 * v + 0.001 * gradient**2
        w = w - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
        np.testing.assert_allclose(after, w, rtol=1e-3)  # float32's 1 - 0.999


def test_l2_is_half_the_squares_of_all_but_batch_normalisation():
    model = build(SPEC)
    decayed = decayed_variables(model)
    inside = {id(variable) for variable in decayed}
    outside = {f"{v.path.split('/')[-2]}" for v in model.trainable_variables if id(v) not in inside}
    assert outside == {layer.name for layer in model.layers if layer.name.endswith("_bn")}
    assert len(decayed) == len(model.trainable_variables) - 2 * len(outside)
    expected = sum(np.sum(np.square(variable.numpy(), dtype=np.float64)) for variable in decayed) / 2
    assert float(l2_penalty(decayed)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.1), (9, 10 / 19), (89_990, 0.9999), (10**6, 0.9999)])
def test_the_average_starts_quick(step, expected):
    assert float(ema_decay(0.9999, step)) == pytest.approx(expected, rel=1e-6)
