"""Making models, and reading their weights from files."""

import inspect

import keras
import numpy as np
import pytest
import tf_keras
from rounding import network_limit

from scarlet_tf import zoo
from scarlet_tf.arch import get_space
from scarlet_tf.models import WeightsMismatchError, build, get_weights

GENOME = (3, 12, 1, 7, 11, 12)
SPEC = get_space("small").spec(GENOME)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(model, folder with w.weights.h5, model.keras, spec.json)."""
    folder = tmp_path_factory.mktemp("trained")
    keras.utils.set_random_seed(1)
    model = build(SPEC)
    model.save_weights(folder / "w.weights.h5")
    model.save(folder / "model.keras")
    SPEC.save(folder / "spec.json")
    return model, folder


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ["scarlet_a", "scarlet_b", "scarlet_c"])
def test_named_functions(name):
    function = getattr(zoo, name)
    assert function.__name__ == name and "include_top" in inspect.signature(function).parameters
    model = function(input_shape=(64, 64, 3), classes=7, dropout_rate=0.5, classifier_activation=None)
    assert model.name == name
    assert model.output_shape == (None, 7)
    assert model.get_layer("dropout").rate == 0.5
    assert model.get_layer("classifier").activation.__name__ == "linear"


def test_defaults_are_the_specs():
    model = zoo.create_model(SPEC)
    assert model.input_shape == (None, 32, 32, 3) and model.output_shape == (None, 10)
    assert model.get_layer("dropout").rate == 0.2
    assert model.get_layer("classifier").activation.__name__ == "softmax"


def test_genome_of_the_scarlet_space():
    model = zoo.create_model((12,) * 19, input_shape=(None, None, 3), include_top=False)
    assert model.output_shape == (None, None, None, 1280)
    assert model.count_params() == 22_144 + 4 * (32 + 32 + 16 + 1280)  # convolutions, BN with its statistics


@pytest.mark.parametrize("file", ["w.weights.h5", "model.keras"])
@pytest.mark.parametrize("keras_module", [keras, tf_keras])
def test_weights_from_files(trained, images, file, keras_module):
    model, folder = trained
    loaded = zoo.create_model(SPEC, weights=folder / file, keras=keras_module)
    assert np.abs(np.asarray(loaded(images)) - np.asarray(model(images))).max() <= 2 * network_limit(SPEC)


@pytest.mark.parametrize("file", ["w.weights.h5", "model.keras"])
def test_weights_without_the_top(trained, file):
    model, folder = trained
    loaded = get_weights(zoo.create_model(SPEC, weights=folder / file, include_top=False))
    whole = get_weights(model)
    assert set(whole) - set(loaded) == {"classifier/kernel", "classifier/bias"}
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize("file", ["w.weights.h5", "model.keras"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_truncated_weights(trained, tmp_path, file, share):
    whole = (trained[1] / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(zoo.ModelFileError, match=str(tmp_path / file)):
        zoo.create_model(SPEC, weights=tmp_path / file)


def test_weights_of_another_model(trained):
    other = get_space("small").spec((3, 12, 1, 7, 11, 2))
    with pytest.raises(zoo.ModelFileError, match=r"w\.weights\.h5: not readable as weights of 'small_3"):
        zoo.create_model(other, weights=trained[1] / "w.weights.h5")
    with pytest.raises(WeightsMismatchError, match="missing block05_expand_conv/kernel"):
        zoo.create_model(other, weights=trained[1] / "model.keras")


def test_unknown_arguments_of_a_named_model_get_the_nearest():
    with pytest.raises(TypeError, match=r"unknown argument of scarlet_a 'clases': .*nearest is 'classes'"):
        zoo.scarlet_a(clases=10)


def test_weights_of_unknown_kind_or_missing(tmp_path):
    with pytest.raises(zoo.ModelFileError, match=r"a \.weights\.h5 or a \.keras file.*model\.pt"):
        zoo.create_model(SPEC, weights=tmp_path / "model.pt")
    with pytest.raises(FileNotFoundError):
        zoo.create_model(SPEC, weights=tmp_path / "missing.keras")


def test_open_model(trained, images):
    model, folder = trained
    expected = np.asarray(model(images))
    for source, spec in ((folder, SPEC), (folder / "model.keras", None)):
        loaded = zoo.open_model(source)
        assert loaded.spec == spec
        np.testing.assert_array_equal(np.asarray(loaded.model(images)), expected)
    loaded = zoo.open_model(folder / "spec.json", weights=folder / "w.weights.h5")
    np.testing.assert_array_equal(np.asarray(loaded.model(images)), expected)
    assert loaded.spec == SPEC


def test_open_model_refuses(trained, tmp_path):
    folder = trained[1]
    with pytest.raises(ValueError, match="has its own weights"):
        zoo.open_model(folder, weights=folder / "w.weights.h5")
    with pytest.raises(FileNotFoundError, match=r"spec\.json"):
        zoo.open_model(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.keras"):
        zoo.open_model(tmp_path / "none.keras")


def test_code_in_a_keras_file_is_refused(tmp_path):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "lambda.keras")
    with pytest.raises(zoo.ModelFileError, match="lambda"):
        zoo.load_keras_file(tmp_path / "lambda.keras")


@pytest.mark.parametrize("module", [3, "tf_keras", np])
def test_a_keras_that_is_none(module):
    message = r"`keras` should be the module keras or tf_keras. Received keras=(3|.tf_keras.|<module)"
    with pytest.raises(ValueError, match=message):
        zoo.create_model(SPEC, keras=module)
