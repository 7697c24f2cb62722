"""Built models: shapes, saving, the tf_keras twin, named weights."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tf_keras
from rounding import network_limit, rounding_limit

from scarlet_tf.arch import get_space
from scarlet_tf.models import WeightsMismatchError, build, get_weights, set_weights

SMALL = get_space("small")
GENOME = (3, 12, 1, 7, 12, 0)
SPEC = SMALL.spec(GENOME)


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize(("side", "last"), [(224, 7), (225, 8), (193, 7), (260, 9), (32, 1)])
def test_map_sizes(side, last):
    """Every stride halves and rounds up, identities' pools included."""
    for genome in ((3, 1) * 9 + (4,), (12,) * 19):
        spec = get_space("scarlet").spec(genome)
        model = build(spec, include_top=False, input_shape=(side, side, 3))
        assert model.output_shape == (None, last, last, 1280)


def test_any_size_and_a_fixed_batch():
    model = build(SPEC, input_shape=(None, None, 3))
    for side in (32, 33, 47):
        assert model(np.zeros((1, side, side, 3), np.float32)).shape == (1, 10)
    assert build(SPEC, batch_size=1).input_shape == (1, 32, 32, 3)


def test_logits_and_softmax_share_everything_but_the_last_activation(images):
    logits, softmax = build(SPEC, classifier_activation=None), build(SPEC)
    set_weights(softmax, get_weights(logits))
    scores = np.asarray(logits(images))
    expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    limit = rounding_limit(10, 3) * max(1.0, np.abs(scores).max())  # exp makes an absolute error a relative one
    np.testing.assert_allclose(np.asarray(softmax(images)), expected, atol=limit)


def test_saved_file_loads_with_keras_alone(tmp_path, images):
    keras.utils.set_random_seed(0)
    model = build(SMALL.spec(GENOME, let=True), classifier_activation=None)
    set_weights(model, _distinct(get_weights(model)))
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "in.npy", images)
    code = (
        "import sys, numpy as np, keras\n"
        "model = keras.saving.load_model('model.keras')\n"
        "np.save('out.npy', np.asarray(model(np.load('in.npy'))))\n"
        "sys.exit(any(name.startswith('scarlet_tf') for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
    expected = np.asarray(model(images))
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


@pytest.mark.parametrize("let", [False, True])
def test_tf_keras_twin(images, let):
    spec = SMALL.spec(GENOME, let=let)
    model, twin = build(spec), build(spec, keras=tf_keras)
    weights = _distinct(get_weights(model))
    set_weights(model, weights)
    assert [w.shape for w in model.get_weights()] == [w.shape for w in twin.get_weights()]
    twin.set_weights(model.get_weights())
    outputs = np.asarray(model(images))
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
    assert np.abs(np.asarray(twin(images)) - outputs).max() <= 2 * network_limit(spec)
    assert list(get_weights(twin)) == list(weights)
    np.testing.assert_array_equal(
        get_weights(twin)["block02_depthwise_conv/kernel"], weights["block02_depthwise_conv/kernel"]
    )


def _distinct(weights):
    """Every array random, so that a swapped pair would show, and outputs depend on the image."""
    rng = np.random.default_rng(7)
    result = {}
    for name, array in weights.items():
        value = rng.standard_normal(array.shape) * 0.1
        if name.endswith("/kernel"):
            fan_in = np.prod(array.shape[:2] if "depthwise_conv" in name else array.shape[:-1])
            value = rng.standard_normal(array.shape) * np.sqrt(2 / fan_in)
        elif name.endswith(("/gamma", "/moving_variance")):
            value = rng.uniform(0.5, 1.5, array.shape)
        result[name] = value.astype(np.float32)
    return result


def test_names_and_round_trip():
    model = build(SPEC)
    weights = _distinct(get_weights(model))
    set_weights(model, weights)
    assert {"stem_conv/kernel", "block00_se_reduce/bias", "tail_bn/moving_mean", "classifier/kernel"} <= set(weights)
    for name, array in get_weights(model).items():
        np.testing.assert_array_equal(array, weights[name])


def test_mismatched_weights_change_nothing():
    model = build(SPEC)
    before = get_weights(model)
    wrong = _distinct(before)
    del wrong["tail_bn/beta"]
    wrong["extra/kernel"] = np.zeros(1)
    wrong["stem_conv/kernel"] = np.zeros((3, 3, 3, 5), np.float32)
    message = r"missing tail_bn/beta; unexpected extra/kernel; stem_conv/kernel has shape \(3, 3, 3, 5\)"
    with pytest.raises(WeightsMismatchError, match=message):
        set_weights(model, wrong)
    for name, array in get_weights(model).items():
        np.testing.assert_array_equal(array, before[name])
