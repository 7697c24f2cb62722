"""Models of every dtype policy are exported as float32 weights compute them, or refused by the policy's name."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf import zoo
from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.export import (
    PolicyError,
    export_chain,
    export_saved_model,
    export_tflite,
    fold_model,
    in_float32,
    prepare,
    verify,
    with_preprocessing,
)
from scarlet_tf.export.served import ServedModel
from scarlet_tf.formats import FORMATS
from scarlet_tf.models import build, measure_batch_norms

CHANNELS = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16}
BLOCK = BlockSpec(kind="inverted_residual", kernel_size=3, in_channels=8, out_channels=8, hidden_channels=16)
SPEC = ArchSpec(name="tiny", blocks=(BLOCK,), resolution=16, classes=5, **CHANNELS)
LET_SPEC = ArchSpec(
    name="let",
    blocks=(BlockSpec(kind="let", in_channels=8, out_channels=8), BLOCK),
    resolution=16,
    classes=5,
    **CHANNELS,
)
POLICIES = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")


@contextlib.contextmanager
def under(policy="float32", floatx="float32"):
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((8, 16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def weights(images):
    keras.utils.set_random_seed(0)
    model = build(SPEC)
    measure_batch_norms(model, [images])
    return model.get_weights()


def made_under(policy, weights, *, floatx="float32", **options):
    with under(policy, floatx):
        model = build(SPEC, **options)
        model.set_weights(weights)
    return model


def same_in_float32(model):
    """The network, built in float32, with the model's weights."""
    reference = build(SPEC)
    reference.set_weights([np.asarray(array).astype(np.float32) for array in model.get_weights()])
    return reference


@pytest.mark.parametrize(
    ("policy", "floatx"), [*((p, "float32") for p in POLICIES), ("float16", "float16"), ("float64", "float64")]
)
def test_same_layers_and_weights_in_float32(weights, images, capfd, policy, floatx):
    model = made_under(policy, weights, floatx=floatx)
    with under(policy, floatx):
        rebuilt = in_float32(model)
        assert (keras.config.floatx(), keras.config.dtype_policy().name) == (floatx, policy)
    assert ("cast to float32" in capfd.readouterr().err) == (policy == "float64")
    assert [layer.name for layer in rebuilt.layers] == [layer.name for layer in model.layers]
    assert in_float32(rebuilt) is rebuilt and rebuilt.input.dtype == "float32"
    np.testing.assert_array_equal(np.asarray(rebuilt(images)), np.asarray(same_in_float32(model)(images)))


def test_layers_of_several_policies_and_nested_models(weights, images):
    def in_half(layer):
        half = layer.name in ("tail_conv", "classifier")
        return layer.from_config(layer.get_config() | ({"dtype": "mixed_bfloat16"} if half else {}))

    reference = made_under("float32", weights)
    mixed = keras.models.clone_model(reference, clone_function=in_half)
    mixed.set_weights(weights)
    nested = with_preprocessing(mixed, mean=[0.5] * 3, std=[0.25] * 3)
    wanted = with_preprocessing(reference, mean=[0.5] * 3, std=[0.25] * 3)
    pixels = 255 * images
    assert mixed.get_layer("tail_conv").compute_dtype == mixed.get_layer("classifier").compute_dtype == "bfloat16"
    np.testing.assert_array_equal(np.asarray(in_float32(nested)(pixels)), np.asarray(wanted(pixels)))


def test_a_float32_file_opened_under_another_policy(weights, images, tmp_path):
    """Keras gives the opened model as a whole the global policy: it rounds the images."""
    reference = made_under("float32", weights)
    reference.save(tmp_path / "model.keras")
    SPEC.save(tmp_path / "spec.json")
    with under("mixed_float16"):
        source = prepare(tmp_path, examples=2)
        assert source.model.layers[-1].output.dtype == "float32"
        np.testing.assert_array_equal(np.asarray(source.model(images)), np.asarray(reference(images)))
        assert keras.config.dtype_policy().name == "mixed_float16"


@pytest.mark.parametrize(
    ("policy", "floatx", "formats"),
    [("mixed_float16", "float32", FORMATS), ("float64", "float64", ("saved_model", "float32"))],
)
def test_every_format_of_a_saved_model(weights, images, tmp_path, policy, floatx, formats):
    """All files are made of a .keras file with that policy, while it is the global one."""
    model = made_under(policy, weights, floatx=floatx)
    model.save(tmp_path / "model.keras")
    SPEC.save(tmp_path / "spec.json")
    with under(policy, floatx):
        source = prepare(tmp_path, examples=8)
        made = export_chain(source, tmp_path / "files", formats=formats)
        report = verify(model, images, saved_model=made.saved_model, tflite=made.tflite)
    checks = {check.format: check for check in report.formats}
    reference = verify(same_in_float32(model), images, saved_model=made.saved_model, tflite=made.tflite)
    assert [check.max_error for check in report.formats] == [check.max_error for check in reference.formats]
    # Some 20 layers of sums of at most 144 products, each rounded to 2^-24: far below what float16 would round, 2^-11.
    assert checks["saved_model"].relative_error <= 1e-5 and checks["float32"].relative_error <= 1e-5
    signature = tf.saved_model.load(str(made.saved_model[0])).signatures["serving_default"]
    assert signature.structured_outputs["probabilities"].dtype == tf.float32


def test_folding_under_another_policy(images):
    with under("mixed_bfloat16"):
        model = build(LET_SPEC)
        folded, result = fold_model(model, LET_SPEC)
    assert [slot.action for slot in result.slots] == ["forward"] and folded.dtype_policy.name == "float32"
    expected = np.asarray(in_float32(model)(images))
    np.testing.assert_allclose(np.asarray(folded(images)), expected, atol=1e-5 * np.abs(expected).max())


def test_the_zoo_under_another_policy(tmp_path):
    with under("mixed_float16"):
        model = zoo.create_model(SPEC, input_shape=(32, 32, 3), classes=4)
        export_tflite(model, tmp_path / "a.tflite")
        (check,) = verify(model, np.ones((1, 32, 32, 3), np.float32), tflite=[tmp_path / "a.tflite"]).formats
    assert check.relative_error <= 1e-5 and model.compute_dtype == "float16"


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.pool = keras.layers.GlobalAveragePooling2D()

    def call(self, x):
        return self.pool(x)


def quantized(weights):
    model = build(SPEC)
    model.set_weights(weights)
    model.quantize("int8")
    return model


def with_lambda(_):
    with under("mixed_float16"):
        image = keras.Input((16, 16, 3))
        return keras.Model(image, keras.layers.Lambda(lambda x: x + 1)(image), name="lambda")


def subclassed(_):
    with under("mixed_float16"):
        model = Subclassed()
        model(np.zeros((1, 16, 16, 3), np.float32))
        return model


@pytest.mark.parametrize(
    ("make", "policy"),
    [(quantized, "int8_from_float32"), (with_lambda, "mixed_float16"), (subclassed, "mixed_float16")],
)
def test_what_cannot_be_computed_in_float32_is_refused_by_its_policy(weights, tmp_path, make, policy):
    model = make(weights)
    for export in (export_saved_model, export_tflite):
        with pytest.raises(PolicyError, match=rf"dtype policy '?{policy}") as refused:
            export(model, tmp_path / "out")
        assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("dtype", "which"), [(tf.float16, "images"), (tf.float64, "outputs")])
def test_saved_models_of_other_types_are_refused(tmp_path, dtype, which):
    taken, given = (dtype, dtype) if which == "images" else (tf.float32, dtype)
    module = tf.Module()
    module.f = tf.function(
        lambda x: {"y": tf.cast(tf.reduce_mean(x, (1, 2)), given)},
        input_signature=[tf.TensorSpec((None, 8, 8, 3), taken, name="x")],
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.f})
    with pytest.raises(ValueError, match=f"expected float32 {which}.*got {dtype.name}"):
        ServedModel(tmp_path)


def test_a_model_that_the_converter_refuses_is_one_line(tmp_path):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.ops.erfinv(keras.layers.Flatten()(image)), name="odd")
    with pytest.raises(ValueError, match="TensorFlow's converter rejects the model: ") as refused:
        export_tflite(model, tmp_path / "a.tflite")
    assert "\n" not in str(refused.value) and not list(tmp_path.iterdir())


def test_the_tools_take_a_file_of_another_policy(weights, tmp_path, call_tool):
    made_under("float64", weights).save(tmp_path / "m.keras")
    done = call_tool("export_tflite", "--model=m.keras", "--output=a.tflite", cwd=tmp_path)
    assert done.returncode == 0 and "float64" in done.stderr and "same top-1 1.0000" in done.stdout
    quantized(weights).save(tmp_path / "q.keras")
    for tool, output in (("export_tflite", "b.tflite"), ("export_saved_model", "saved")):
        done = call_tool(tool, "--model=q.keras", f"--output={output}", cwd=tmp_path)
        assert done.returncode == 2 and "int8_from_float32" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr and not (tmp_path / output).exists()
