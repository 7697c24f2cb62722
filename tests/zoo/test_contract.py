"""What keras.applications promises of its models: Keras's own tests of them on ours, its errors, its dtypes."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from forked import ForkedProcess
from keras.applications import imagenet_utils
from rounding import network_limit, rounding_limit
from sixteen_bits import needs_sixteen_bits

from scarlet_tf import zoo
from scarlet_tf.arch import count, get_space, scale
from scarlet_tf.models import get_weights

DEEP = {"scarlet_a2": 1792, "scarlet_a4": 1792}
MODELS = [(getattr(zoo, name), 1280) for name in ("scarlet_a", "scarlet_b", "scarlet_c")] + [
    pytest.param(getattr(zoo, name), width, marks=pytest.mark.slow) for name, width in DEEP.items()
]
every_model = pytest.mark.parametrize(("app", "last_dim"), MODELS)
SMALL = get_space("small").spec((3, 12, 1, 7, 11, 12))


@every_model
def test_keras_own_tests(app, last_dim):
    """Variable channels, another shape, a tensor to begin at, pooling, the top's activation, a round trip."""
    for channels in (1, 3):
        model = app(weights=None, include_top=False, input_shape=(None, None, channels))
        assert list(model.outputs[0].shape) == [None, None, None, last_dim]
    with pytest.warns(UserWarning, match="usually expects 1 or 3 input channels"):
        model = app(weights=None, include_top=False, input_shape=(None, None, 4))
    assert list(model.outputs[0].shape) == [None, None, None, last_dim]
    model = app(weights=None, include_top=False, input_shape=(123, 123, 3))
    assert list(model.outputs[0].shape) == [None, 4, 4, last_dim]
    custom = keras.Input((200, 200, 4), name="custom_input")
    before = keras.layers.Conv2D(3, (2, 2), padding="valid", strides=(2, 2))(custom)
    model = app(weights=None, include_top=False, input_tensor=before)
    assert model.outputs[0].shape[-1] == last_dim and model.inputs[0].name == "custom_input"
    model = app(weights=None, include_top=False, pooling="max")
    assert list(model.outputs[0].shape) == [None, last_dim]


@every_model
def test_default_construction_and_round_trip(app, last_dim):
    model = app()
    info = zoo.model_info(app.__name__)
    assert model.name == app.__name__ and model.input_shape == (None, info.resolution, info.resolution, 3)
    assert model.output_shape == (None, 1000) and model.layers[-1].activation.__name__ == "softmax"
    config = keras.saving.serialize_keras_object(model)
    assert len(keras.saving.deserialize_keras_object(config).weights) == len(model.weights)


def test_signature_is_keyword_only_and_shows_the_models_own_defaults():
    parameters = inspect.signature(zoo.scarlet_a4).parameters
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values())
    defaults = {name: parameter.default for name, parameter in parameters.items() if name != "keras"}
    assert defaults == {
        "include_top": True,
        "weights": None,
        "input_tensor": None,
        "input_shape": None,
        "pooling": None,
        "classes": 1000,
        "classifier_activation": "softmax",
        "include_preprocessing": False,
        "dropout_rate": 0.4,
        "bn_epsilon": 1e-5,
        "width": 1.0,
        "depth": 1.0,
        "resolution": None,
        "name": "scarlet_a4",
    }


ERRORS = [
    ({"weights": "imagenet", "classes": 10}, "`classes` should be 1000.*classes=10"),
    ({"weights": "imagenet", "input_shape": (200, 200, 3)}, r"should be \(224, 224, 3\).*\(200, 200, 3\)"),
    ({"weights": "imagenet", "include_top": False, "input_shape": (64, 64, 1)}, r"3 channels.*\(64, 64, 1\)"),
    ({"weights": "imagenet", "classifier_activation": "relu"}, "classifier_activation='relu'"),
    ({"weights": "imagnet"}, "Received weights='imagnet'"),
    ({"weights": 0}, "Received weights=0"),
    ({"weights": b"imagenet"}, "Received weights=b'imagenet'"),
    ({"weights": "missing.weights.h5"}, r"no such file: missing\.weights\.h5"),
    ({"input_shape": (31, 224, 3)}, r"at least 32x32.*\(31, 224, 3\)"),
    ({"input_shape": (224, 224)}, r"tuple of three integers.*\(224, 224\)"),
    ({"input_shape": (224.0, 224, 3)}, r"tuple of three integers.*\(224.0, 224, 3\)"),
    ({"input_shape": 224}, "tuple of three integers.*224"),
    ({"input_shape": "224"}, "tuple of three integers.*'224'"),
    ({"input_shape": (224, 224, None)}, r"tuple of three integers.*\(224, 224, None\)"),
    ({"input_shape": (None, None, 3)}, r"static `input_shape`.*\(None, None, 3\)"),
    ({"include_top": False, "pooling": "mean"}, "pooling='mean'"),
    ({"include_preprocessing": True, "input_shape": (64, 64, 1)}, "RGB images. Received 1 input"),
    ({"classes": 0}, "classes must be an integer >= 1, got 0"),
    ({"dropout_rate": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
    ({"bn_epsilon": -1.0}, "epsilon of batch normalisation must be a number >= 0, got -1.0"),
    ({"bn_epsilon": float("nan")}, "epsilon of batch normalisation must be a number >= 0, got nan"),
    ({"bn_epsilon": "small"}, "epsilon of batch normalisation must be a number >= 0, got 'small'"),
    ({"width": 0}, "width must be a number > 0, got 0"),
    ({"input_tensor": keras.Input((7,))}, r"`input_tensor` should be \(batch, height, width, channels\)"),
]


@pytest.mark.parametrize(("options", "message"), ERRORS)
def test_errors_of_keras_applications(options, message, tmp_path, monkeypatch):
    monkeypatch.setenv("SCARLET_TF_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        zoo.scarlet_c(**options)


@pytest.mark.parametrize("activation", ["linear", keras.activations.linear, keras.activations.softmax])
def test_activations_by_other_names_go_with_weights(activation, tmp_path):
    """As in keras.applications, which compares what they are."""
    made = zoo.create_model(SMALL, classifier_activation=activation)
    made.save_weights(tmp_path / "m.weights.h5")
    loaded = zoo.create_model(SMALL, weights=tmp_path / "m.weights.h5", classifier_activation=activation)
    image = np.ones((1, *made.input_shape[1:]), np.float32)
    np.testing.assert_array_equal(loaded(image), made(image))


@pytest.mark.parametrize("kind", [list, np.array, tf.TensorShape])
def test_shapes_as_data_have_them(kind):
    model = zoo.create_model(SMALL, input_shape=kind([48, 40, 3]))
    assert model.input_shape == (None, 48, 40, 3)
    model = zoo.create_model(SMALL, include_top=False, input_shape=tf.TensorShape([None, 40, 3]))
    assert model.input_shape == (None, None, 40, 3)


def test_imagenet_weights_say_where_they_come_from(tmp_path, monkeypatch):
    monkeypatch.setenv("SCARLET_TF_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match=r"xiaomi-automl/SCARLET-NAS.*convert_torch\.py --model=scarlet_c"):
        zoo.scarlet_c(weights="imagenet")
    made = zoo.scarlet_c()
    made.save_weights(tmp_path / "scarlet_c.weights.h5")
    loaded = zoo.scarlet_c(weights="imagenet", include_top=False, pooling="avg")
    assert loaded.output_shape == (None, 1280)
    weights = get_weights(made)
    for name, array in get_weights(loaded).items():
        np.testing.assert_array_equal(array, weights[name])


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            zoo.create_model(SMALL)
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    "policy",
    [
        "float32",
        pytest.param("mixed_float16", marks=needs_sixteen_bits),
        pytest.param("bfloat16", marks=needs_sixteen_bits),
    ],
)
def test_dtype_policies(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = zoo.create_model(SMALL, weights=None)
        output = model(np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32))
        loss = keras.ops.sum(output)
    finally:
        keras.config.set_dtype_policy(before)
    assert str(output.dtype).split("'")[1] == {"mixed_float16": "float16"}.get(policy, policy)
    assert model.weights[0].dtype == ("bfloat16" if policy == "bfloat16" else "float32")
    assert float(loss) == pytest.approx(2.0, abs=0.05)


def test_preprocessing_in_the_graph_is_preprocess_input():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    keras.utils.set_random_seed(0)
    plain = zoo.create_model(SMALL)
    keras.utils.set_random_seed(0)
    whole = zoo.create_model(SMALL, include_preprocessing=True)
    expected = (pixels / 255 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    prepared = zoo.preprocess_input(pixels.copy())
    np.testing.assert_allclose(prepared, expected, atol=rounding_limit(3) * np.abs(expected).max())
    np.testing.assert_allclose(whole(pixels), plain(prepared), atol=2 * network_limit(SMALL))


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_preprocess_input_takes_integers(dtype):
    """Arrays, tensors, and within a graph, as an input pipeline calls it."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(dtype)
    expected = zoo.preprocess_input(pixels.astype(np.float32))
    limit = 2 * rounding_limit(3) * np.abs(expected).max()
    tensor = keras.ops.convert_to_tensor(pixels)
    for prepared in (zoo.preprocess_input(pixels), zoo.preprocess_input(tensor)):
        assert keras.backend.standardize_dtype(prepared.dtype) == "float32"
        np.testing.assert_allclose(prepared, expected, atol=limit)
    (first,) = tf.data.Dataset.from_tensors(tensor).map(zoo.preprocess_input)
    np.testing.assert_allclose(first, expected, atol=limit)
    assert zoo.preprocess_input(keras.Input((8, 8, 3), dtype=dtype)).dtype == "float32"


def test_decode_predictions():
    scores = np.zeros((2, 1000), np.float32)
    scores[0, [386, 134, 0]] = 0.5, 0.3, 0.2
    scores[1, 999] = 1.0
    first, second = zoo.decode_predictions(scores, top=3)
    assert [row[:2] for row in first] == [
        ("n02504458", "African_elephant"),
        ("n02012849", "crane"),
        ("n01440764", "tench"),
    ]
    assert [row[2] for row in first] == pytest.approx([0.5, 0.3, 0.2])
    assert second[0][:2] == ("n15075141", "toilet_tissue") and len(zoo.decode_predictions(scores)[1]) == 5
    for decode in (zoo.decode_predictions, imagenet_utils.decode_predictions):
        with pytest.raises(ValueError, match=r"\(2, 10\)"):
            decode(scores[:, :10])


def test_weights_behind_a_tensor(tmp_path):
    """They go to the network, not to what comes before it."""
    made = zoo.create_model(SMALL)
    made.save_weights(tmp_path / "w.weights.h5")
    before = keras.layers.Conv2D(3, 3, padding="same", name="before")(keras.Input((32, 32, 5)))
    model = zoo.create_model(SMALL, input_tensor=before, weights=tmp_path / "w.weights.h5")
    assert model.input_shape == (None, 32, 32, 5)
    inner = get_weights(model)
    for name, array in get_weights(made).items():
        np.testing.assert_array_equal(inner[name], array)


def test_scaled_variants():
    model = zoo.create_model("scarlet_a", width=0.5, depth=0.5, resolution=96, include_top=False, pooling="avg")
    spec = scale(zoo.get_spec("scarlet_a"), width=0.5, depth=0.5, resolution=96)
    assert model.output_shape == (None, 640) and model.name == "scarlet_a_width0.5_depth0.5_resolution96"
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable == count(spec).params - 641 * 1000
    assert zoo.model_info(spec).params == count(spec).params and zoo.model_info(spec).paper_top1 is None


def test_a_scaled_model_is_named_after_its_scaling(monkeypatch, tmp_path):
    monkeypatch.setattr("scarlet_tf.zoo.registry._REGISTERED", {"mine": dataclasses.replace(SMALL, name="mine")})
    monkeypatch.setenv("SCARLET_TF_WEIGHTS", str(tmp_path))
    made = zoo.create_model("mine", dropout_rate=0.5, resolution=32)
    assert made.name == "mine"  # the same network
    made.save_weights(tmp_path / "mine.weights.h5")
    assert zoo.create_model("mine", width=0.5, name="half").name == "half"
    larger = zoo.create_model("mine", resolution=64, include_top=False, weights="imagenet")  # as the file is called
    assert larger.name == "mine_resolution64"
    assert get_weights(larger)["stem_conv/kernel"].tobytes() == get_weights(made)["stem_conv/kernel"].tobytes()
    with pytest.raises(zoo.ModelFileError, match=r"not readable as weights of 'mine_width0\.5'"):
        zoo.create_model("mine", width=0.5, include_top=False, weights="imagenet")


def test_registered_models_are_known_by_name(monkeypatch):
    monkeypatch.setattr("scarlet_tf.zoo.registry._REGISTERED", {})
    mine = get_space("small").spec((3, 12, 1, 7, 11, 12), name="mine")
    zoo.register(mine)
    zoo.register(mine)  # the same again
    assert zoo.list_models("m*") == ["mine"] and zoo.get_spec("mine") == mine
    assert zoo.model_info("mine").madds == count(mine).madds
    assert zoo.create_model("mine").name == "mine"
    for name, message in (("scarlet_a", "already taken"), ("a,b", "comma"), ("a.json", "or end in")):
        with pytest.raises(ValueError, match=message):
            zoo.register(get_space("small").spec((0, 12, 1, 7, 11, 12), name=name))
    with pytest.raises(ValueError, match="already taken"):
        zoo.register(get_space("small").spec((0, 12, 1, 7, 11, 12), name="mine"))


_ELSEWHERE = """
import sys, keras, numpy as np, scarlet_tf
from scarlet_tf import zoo
images = np.load("images.npy")
model = keras.saving.load_model("m.keras")
other = zoo.create_model("spec.json", weights="m.weights.h5", include_preprocessing=True)
np.save("out.npy", np.stack([np.asarray(m(images)) for m in (model, other)]))
"""


@pytest.mark.slow
def test_saved_files_give_the_same_bits_in_another_process(tmp_path):
    keras.utils.set_random_seed(3)
    model = zoo.create_model(SMALL, include_preprocessing=True)
    SMALL.save(tmp_path / "spec.json")
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "elsewhere.py").write_text(_ELSEWHERE)
    process = ForkedProcess([tmp_path / "elsewhere.py"], cwd=tmp_path)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    for output in np.load(tmp_path / "out.npy"):
        np.testing.assert_array_equal(output, np.asarray(model(images)))
