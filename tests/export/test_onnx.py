"""ONNX files against Keras in ONNX Runtime: every kind of network and layer, both layouts, and what is refused."""

import dataclasses
import importlib.util
import json

import keras
import numpy as np
import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.export import (
    FORMATS,
    ExportError,
    export_onnx,
    possible_formats,
    verify,
    with_preprocessing,
    with_softmax,
)
from scarlet_tf.models import build, set_weights
from scarlet_tf.onnx_file import MissingPackageError, OnnxFileError, OnnxModel, read_onnx_record

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SPEC = get_space("small").spec((3, 9, 1, 12, 11, 12))
LET_SPEC = get_space("small").spec((3, 12, 7, 12, 11, 12), let=True)
EPS = np.finfo(np.float32).eps
TOLERANCE = 100 * EPS  # of the largest output: some 30 layers, whose sums are taken in another order


def images_of(model, count=3):
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def error(model, path, images):
    expected, got = np.asarray(model(images, training=False)), OnnxModel(path)(images)
    assert got.shape == expected.shape and got.dtype == np.float32
    return np.abs(got - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def network(random_weights):
    """Function (spec, **options of build) -> a network with random weights."""

    def make(spec=SPEC, **options):
        model = build(spec, **options)
        weights = random_weights(spec, 3)
        set_weights(
            model,
            weights
            if options.get("include_top", True)
            else {name: array for name, array in weights.items() if not name.startswith("classifier")},
        )
        return model

    return make


CASES = {
    "probabilities": {},
    "logits": {"classifier_activation": None},
    "features": {"include_top": False},
    "pooled": {"include_top": False, "pooling": "max"},
    "lets": {"spec": LET_SPEC},
    "odd, not square": {"input_shape": (45, 33, 3)},
    "grey": {"spec": dataclasses.replace(SPEC, input_channels=1)},
}


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("case", CASES)
def test_networks(case, layout, network, tmp_path):
    model = network(**CASES[case])
    counts = export_onnx(model, tmp_path / "a.onnx", layout=layout)
    images = images_of(model)
    assert error(model, tmp_path / "a.onnx", images) <= TOLERANCE
    assert "BatchNormalization" not in counts and "Pad" not in counts  # folded
    features = layout == "nhwc" and case == "features"
    assert counts.get("Transpose", 0) == (layout == "nhwc") + features
    file = onnx.load(tmp_path / "a.onnx")
    (source,), (result,) = file.graph.input, file.graph.output
    name = (
        case if case in ("probabilities", "logits", "features") else {"pooled": "features"}.get(case, "probabilities")
    )
    assert (source.name, result.name) == ("image", name)
    height, width, channels = model.input_shape[1:]
    sizes = [dim.dim_param or dim.dim_value for dim in source.type.tensor_type.shape.dim]
    assert sizes == ["batch", *((height, width, channels) if layout == "nhwc" else (channels, height, width))]


@pytest.mark.parametrize("opset", [14, 17, 21])
def test_opsets(opset, network, tmp_path):
    model = network()
    export_onnx(model, tmp_path / "a.onnx", opset=opset)
    file = onnx.load(tmp_path / "a.onnx")
    assert [(entry.domain, entry.version) for entry in file.opset_import] == [("", opset)]
    assert error(model, tmp_path / "a.onnx", images_of(model)) <= TOLERANCE


def test_pixels_in_and_scores_out(network, tmp_path):
    """The whole of what a client needs: normalisation at the start, a softmax at the end, one batch size."""
    logits = network(classifier_activation=None)
    mean, std = [0.1, 0.5, 0.9], [0.2, 0.3, 0.4]
    model = with_preprocessing(with_softmax(logits), mean=mean, std=std)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    record = {"model": "m", "input": {"mean": [0.0] * 3, "std": [1 / 255] * 3}, "output": "probabilities"}
    export_onnx(model, tmp_path / "a.onnx", batch_size=2, record=record)
    got = np.concatenate([OnnxModel(tmp_path / "a.onnx")(pixels[i : i + 2]) for i in (0, 2)])
    expected = np.asarray(logits((pixels / 255 - np.float32(mean)) / np.float32(std)))
    expected = np.exp(expected - expected.max(-1, keepdims=True))
    np.testing.assert_allclose(got, expected / expected.sum(-1, keepdims=True), rtol=1e-3, atol=TOLERANCE)
    np.testing.assert_allclose(got.sum(-1), 1, rtol=10 * EPS)
    assert read_onnx_record(tmp_path / "a.onnx") == record | {"format": "onnx", "opset": 17, "layout": "nhwc"}
    with pytest.raises(OnnxFileError, match=r"a\.onnx"):
        OnnxModel(tmp_path / "a.onnx")(pixels[:3])


def test_layers_of_other_heads(tmp_path):
    """What users put behind a network: nested and sequential models, shared layers, pools, flattening, gates."""
    keras.utils.set_random_seed(2)
    layers = keras.layers
    backbone = keras.Sequential(
        [
            keras.Input((13, 10, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", dilation_rate=2),
            layers.BatchNormalization(scale=False, center=False),
            layers.AveragePooling2D(3, strides=2, padding="same"),
        ]
    )
    image = keras.Input((13, 10, 3))
    x = backbone(image)
    shared = layers.Conv2D(16, 1, groups=2, activation="tanh")
    x = layers.Add()([x, shared(x), shared(shared(x))])
    x = layers.Multiply()([x, layers.Activation("sigmoid")(x)])
    x = layers.MaxPooling2D(2, padding="same")(layers.Activation("relu6")(layers.Activation("silu")(x)))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    model = keras.Model(image, layers.Dense(4, activation="sigmoid")(x))
    model.layers[1].layers[2].moving_variance.assign(np.linspace(0.5, 2, 16))
    export_onnx(model, tmp_path / "a.onnx")
    assert error(model, tmp_path / "a.onnx", images_of(model)) <= TOLERANCE


def test_a_gate_as_in_other_networks(tmp_path):
    """A pooled vector made a map of one pixel again, with and without a flattening between; sums of numbers."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((6, 6, 8))
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(image))
    gate = layers.ReLU(6.0)(layers.Conv2D(8, 1)(gate) + 3.0) * (1.0 / 6.0)
    gate = layers.Reshape((1, 1, 8))(gate)
    model = keras.Model(image, layers.Flatten()(layers.Multiply()([image, gate])))
    counts = export_onnx(model, tmp_path / "a.onnx")
    assert counts["Unsqueeze"] == 1 and "Reshape" not in counts
    assert error(model, tmp_path / "a.onnx", images_of(model)) <= TOLERANCE


@pytest.mark.parametrize("channels", [6, 8])
def test_vectors_beside_maps(channels, tmp_path):
    """As wide as the map or not: Keras's layers make a vector a map of one pixel, constants are along the channels."""
    keras.utils.set_random_seed(4)
    layers = keras.layers
    image = keras.Input((8, 8, channels))
    gate = layers.Dense(channels, activation="sigmoid")(layers.GlobalAveragePooling2D()(image))
    x = layers.Add()([gate, layers.Multiply()([image, gate])])
    x = x * np.linspace(1, 2, channels, dtype=np.float32)
    x = x + np.random.default_rng(5).standard_normal((8, 8, channels)).astype(np.float32)
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))
    for layout in ("nchw", "nhwc"):
        export_onnx(model, tmp_path / "a.onnx", layout=layout, batch_size=3)
        assert error(model, tmp_path / "a.onnx", images_of(model)) <= TOLERANCE


def test_refuses_operands_of_other_ranks(tmp_path):
    image = keras.Input((8, 8, 8))
    vector = keras.layers.GlobalAveragePooling2D()(image)
    with pytest.raises(ValueError, match=r"operation .* has operands of shapes .* expected as many axes"):
        export_onnx(keras.Model(image, image * vector), tmp_path / "a.onnx", batch_size=1)


def test_refuses_other_reshapes_and_operations(tmp_path):
    image = keras.Input((2, 2, 3))
    for result, message in (
        (keras.layers.Reshape((4, 3))(image), r"reshapes \(2, 2, 3\) to \(4, 3\)"),
        (image - 1.0, "operation .* is a Subtract"),
    ):
        with pytest.raises(ValueError, match=message):
            export_onnx(keras.Model(image, result), tmp_path / "a.onnx")


def test_a_backbone_of_any_size(network, tmp_path):
    """Its own sizes are open, those of the model around it are not; odd ones, which a max pool pads on one side."""
    backbone = network(LET_SPEC, include_top=False, input_shape=(None, None, 3))
    image = keras.Input((43, 38, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(backbone(image)))
    export_onnx(model, tmp_path / "a.onnx")
    assert error(model, tmp_path / "a.onnx", images_of(model)) <= TOLERANCE


def test_what_is_read_twice_is_not_folded(tmp_path):
    """A convolution and a padding whose results are used a second time, beside the batch normalisation."""
    keras.utils.set_random_seed(4)
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    padded = layers.ZeroPadding2D(((1, 0), (0, 1)))(image)
    convolved = layers.Conv2D(4, 3)(padded)
    normalised = layers.BatchNormalization()(convolved)
    total = layers.Add()([normalised, convolved, layers.Conv2D(4, 3)(padded)])
    model = keras.Model(image, layers.GlobalAveragePooling2D()(total))
    model.get_layer(index=3).gamma.assign([1, 2, 3, 4])
    counts = export_onnx(model, tmp_path / "a.onnx")
    assert counts["Pad"] == counts["BatchNormalization"] == 1 and counts["Conv"] == 2
    assert error(model, tmp_path / "a.onnx", images_of(model)) <= TOLERANCE


def test_the_same_model_gives_the_same_bytes(network, tmp_path):
    model = network()
    for name in ("a", "b"):
        export_onnx(model, tmp_path / name, record={"model": "m"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def image_and(layer):
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layer(image))


def two_outputs_inside():
    image = keras.Input((8, 8, 3))
    split = keras.Model(image, [keras.layers.ReLU()(image), keras.layers.Conv2D(3, 1)(image)], name="split")
    return image_and(lambda image: split(image)[1])


class OwnClass(keras.Model):
    def call(self, images):
        return images


MODELS = {
    "LayerNormalization": (
        lambda: image_and(keras.layers.LayerNormalization(name="norm")),
        "'norm'.*LayerNormalization",
    ),
    "Lambda": (lambda: image_and(keras.layers.Lambda(lambda x: x, name="own")), "'own' is a Lambda"),
    "activation": (lambda: image_and(keras.layers.Conv2D(2, 1, activation="mish", name="c")), "'c'.*mish"),
    "leaky": (lambda: image_and(keras.layers.ReLU(negative_slope=0.1, name="leaky")), "'leaky'.*slope"),
    "axis": (lambda: image_and(keras.layers.Softmax(axis=1, name="rows")), "'rows'.*axis 1"),
    "dense": (lambda: image_and(keras.layers.Dense(2, name="points")), "'points'.*Dense with input shape"),
    "batch norm": (lambda: image_and(keras.layers.BatchNormalization(axis=1, name="rows")), "'rows' normalises axis 1"),
    "two outputs": (two_outputs_inside, "'split' has 1 inputs and 2 outputs"),
    "any size": (lambda: build(SPEC, input_shape=(None, None, 3)), "expected a fixed image size"),
    "class": (lambda: OwnClass(name="own_class"), "'own_class' is a subclassed model"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_that_have_no_form(case, tmp_path):
    make, message = MODELS[case]
    with pytest.raises(ValueError, match=message):
        export_onnx(make(), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 13}, "opset must be in 14\.\..*got 13: nearest is 14"),
        ({"opset": 999}, "got 999: nearest is "),
        ({"layout": "nwhc"}, "unknown layout 'nwhc'.*nearest is"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
    ],
)
def test_options_that_cannot_be_met(options, message, network, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_onnx(network(), tmp_path / "a.onnx", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_packages(package, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(MissingPackageError, match=rf"'{package}': pip install 'scarlet-tf\[onnx\]'"):
        OnnxModel(tmp_path / "a.onnx")


def test_files_that_cannot_be_run(network, tmp_path):
    model = network()
    export_onnx(model, tmp_path / "a.onnx", record={"model": "m"})
    whole = (tmp_path / "a.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name in ("cut", "junk", "empty"):
        with pytest.raises(OnnxFileError, match=rf"{name}\.onnx"):
            OnnxModel(tmp_path / f"{name}.onnx")
    with pytest.raises(FileNotFoundError, match="no such file"):
        OnnxModel(tmp_path / "missing.onnx")
    for record in (b"[]", b"{", b'{"layout": "chwn"}'):
        file = onnx.load_from_string(whole)
        onnx.helper.set_model_props(file, {"scarlet_tf": record.decode()})
        (tmp_path / "other.onnx").write_bytes(file.SerializeToString())
        with pytest.raises(OnnxFileError, match=r"other\.onnx: its record"):
            OnnxModel(tmp_path / "other.onnx")


@pytest.mark.parametrize("package", ["onnx", None])
def test_chain_without_onnx(package, monkeypatch, network):
    """`verify` makes the other formats, and says why there is no ONNX file."""
    assert possible_formats(network()) == (FORMATS, ())
    model = image_and(keras.layers.LayerNormalization(name="norm"))
    if package:
        model, find = network(), importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    formats, (note,) = possible_formats(model)
    assert set(FORMATS) - set(formats) == {"onnx"} and note.startswith("no ONNX file: ")
    assert ("pip install" if package else "'norm'") in note


def test_verify(network, tmp_path):
    """A link of the chain; a file that ends in a softmax against a model of logits; files of other models."""
    logits = network(classifier_activation=None)
    images = images_of(logits, 6)
    export_onnx(logits, tmp_path / "logits.onnx", layout="nchw")
    export_onnx(with_softmax(logits), tmp_path / "scores.onnx", record={"output": "probabilities"}, batch_size=3)
    files = [tmp_path / "logits.onnx", tmp_path / "scores.onnx"]
    report = verify(logits, images, onnx=files)
    assert all(check.relative_error <= TOLERANCE and check.top1_agreement == 1 for check in report.formats)
    rows = json.loads(report.to_json())["formats"]
    assert rows[1]["operations"] == rows[0]["operations"] | {"Softmax": 1, "Transpose": 1}
    assert [row["partitions"] for row in rows] == [None, None]
    with pytest.raises(ExportError, match="multiple of its batch size 3, got 4"):
        verify(logits, images[:4], onnx=files)
    larger = network(input_shape=(48, 48, 3))
    with pytest.raises(
        ExportError, match=r"logits\.onnx is a file of another model: it has input 32 x 32 x 3 and output 10"
    ):
        verify(larger, images_of(larger), onnx=files[:1])
