"""SavedModel and TFLite exports against Keras, and that only whole files with built-in operations come out."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from rounding import network_limit, rounding_limit

from scarlet_tf.arch import get_space
from scarlet_tf.export import (
    ExportError,
    builtin_operations,
    convert,
    export_saved_model,
    export_tflite,
    fold_model,
    verify,
)
from scarlet_tf.models import build, set_weights
from scarlet_tf.tflite import TFLiteFileError, operation_counts

SPEC = get_space("small").spec((3, 9, 1, 12, 11, 12))
LET_SPEC = get_space("small").spec((3, 12, 7, 12, 11, 12), let=True)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).standard_normal((24, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model(random_weights):
    built = build(SPEC)
    set_weights(built, random_weights(SPEC, 3))
    return built


@pytest.fixture(scope="module")
def exported(model, images, tmp_path_factory):
    """Folder with saved_model and one .tflite per quantization."""
    folder = tmp_path_factory.mktemp("exported")
    export_saved_model(model, folder / "saved_model")
    for quantize in ("float32", "float16", "dynamic"):
        export_tflite(model, folder / f"{quantize}.tflite", quantize=quantize)
    export_tflite(model, folder / "int8.tflite", quantize="int8", representative=[images])
    export_tflite(model, folder / "uint8.tflite", quantize="int8", input_type="uint8", representative=[images])
    return folder


def test_formats_agree_with_keras(model, images, exported):
    labels = np.asarray(model(images)).argmax(-1)
    labels[0] = (labels[0] + 1) % 10
    files = tuple(exported / f"{name}.tflite" for name in ("float32", "float16", "dynamic", "int8", "uint8"))
    report = verify(model, images, saved_model=[exported / "saved_model"], tflite=files, labels=labels)
    saved, float32, float16, dynamic, int8, uint8 = report.formats
    assert np.ptp(np.asarray(model(images)), axis=0).max() > 0.04  # outputs depend on the image
    assert max(saved.relative_error, float32.relative_error) <= 2 * network_limit(SPEC)
    # Weights are rounded to 16 bits: an error in every sum, of as many terms as it has of its own.
    assert 0 < float16.relative_error <= rounding_limit(3 * len(SPEC.blocks) + 5, dtype="float16")
    assert max(dynamic.relative_error, int8.relative_error, uint8.relative_error) <= 0.5
    assert [check.top1_agreement for check in (saved, float32)] == [1.0, 1.0]
    assert min(check.top1_agreement for check in (float16, dynamic, int8, uint8)) >= 0.7
    assert report.keras_accuracy == saved.accuracy == float32.accuracy == pytest.approx(23 / 24)
    assert (report.images, report.model) == (24, SPEC.name)
    assert float16.bytes < 0.75 * float32.bytes and int8.bytes < 0.75 * float32.bytes


def test_report_as_table_and_json(model, images, exported):
    report = verify(model, images[:2], saved_model=[exported / "saved_model"], tflite=(exported / "float32.tflite",))
    table = report.table().splitlines()
    assert len(table) == 4 and table[3].startswith("float32.tflite") and table[3].split()[-1] == "-"
    data = json.loads(report.to_json())
    assert data["images"] == 2 and data["formats"][1]["ops"] == sum(data["formats"][1]["operations"].values())
    assert [field.name for field in dataclasses.fields(report)] == ["model", "images", "keras_accuracy", "formats"]


def test_operations_of_the_float_file(exported):
    """h-swish is one operation, convolutions take in BN and h-sigmoid's addition, padding stays at stride 2 only.

    The one 7x7 depthwise convolution is three, and two additions.
    """
    convolutions = 2 + 4 * 2 + 4 * 2 + 1  # stem and separable, four blocks, their SE, tail
    assert operation_counts(exported / "float32.tflite") == {
        "CONV_2D": convolutions,
        "HARD_SWISH": 8,
        "DEPTHWISE_CONV_2D": 4 + 3,
        "MUL": 8,
        "MEAN": 5,
        "ADD": 1 + 2,
        "PAD": 3,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }


def test_types_at_the_ends(exported):
    from scarlet_tf.tflite import open_interpreter

    types = {}
    for name in ("float32", "dynamic", "int8", "uint8"):
        interpreter = open_interpreter(exported / f"{name}.tflite")
        (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        assert tuple(source["shape"]) == (1, 32, 32, 3) and tuple(result["shape"]) == (1, 10)
        types[name] = (np.dtype(source["dtype"]).name, np.dtype(result["dtype"]).name)
    assert types == {
        "float32": ("float32", "float32"),
        "dynamic": ("float32", "float32"),
        "int8": ("float32", "float32"),
        "uint8": ("uint8", "float32"),
    }


def test_saved_model_signature(model, exported, images):
    weights = exported / "saved_model" / "variables" / "variables.data-00000-of-00001"
    assert weights.stat().st_size < 4 * model.count_params() + 16_384  # every weight once, and names
    loaded = tf.saved_model.load(str(exported / "saved_model"))
    assert list(loaded.signatures) == ["serving_default"]
    outputs = loaded.signatures["serving_default"](image=tf.constant(images))
    assert list(outputs) == ["probabilities"]
    np.testing.assert_allclose(outputs["probabilities"], model(images), atol=2 * network_limit(SPEC))
    with pytest.raises(FileExistsError, match="not an empty folder"):
        export_saved_model(model, exported / "saved_model")


@pytest.mark.parametrize(("options", "name"), [({"classifier_activation": None}, "logits"), ({}, "features")])
def test_output_is_named_after_what_it_is(options, name, tmp_path):
    other = build(SPEC, include_top=bool(options), **options)
    export_saved_model(other, tmp_path / "saved", batch_size=2)
    signature = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    assert list(signature.structured_outputs) == [name]
    assert signature.structured_outputs[name].shape[0] == 2


def test_folded_model_exports_without_its_lets(random_weights, images, tmp_path):
    whole = build(LET_SPEC)
    set_weights(whole, random_weights(LET_SPEC, 0))
    folded, result = fold_model(whole, LET_SPEC)
    assert [slot.action for slot in result.slots] == ["forward", "forward", "forward"]
    np.testing.assert_allclose(np.asarray(folded(images)), np.asarray(whole(images)), atol=2 * network_limit(LET_SPEC))
    for name, source in (("whole", whole), ("folded", folded)):
        export_tflite(source, tmp_path / f"{name}.tflite")
    counts = {name: operation_counts(tmp_path / f"{name}.tflite")["CONV_2D"] for name in ("whole", "folded")}
    assert counts["whole"] - counts["folded"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "int9"}, "unknown quantize 'int9'.*nearest is 'int8'"),
        ({"input_type": "int9"}, "unknown input_type 'int9'.*nearest is 'int8'"),
        ({"output_type": "uint16"}, "unknown output_type 'uint16'.*nearest is 'uint8'"),
        ({"output_type": "int8", "quantize": "dynamic"}, "output_type 'int8' needs quantize 'int8'.*got 'dynamic'"),
        ({"input_type": "uint8"}, "needs quantize 'int8' or 'int8_pure', got 'float32'"),
        ({"quantize": "int8"}, "needs a representative dataset"),
        (
            {"quantize": "float16", "representative": []},
            "a representative dataset needs quantize 'int8' or 'int8_pure'",
        ),
        ({"quantize": "int8", "representative": []}, "got none"),
    ],
)
def test_options_that_cannot_be_met(model, exported, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        convert(exported / "saved_model", **options)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_failed_export(model, tmp_path):
    with pytest.raises(ValueError, match="got none"):
        export_tflite(model, tmp_path / "a.tflite", quantize="int8", representative=[])
    assert list(tmp_path.iterdir()) == []


def test_custom_operations_are_refused(tmp_path):
    module = tf.Module()
    module.f = tf.function(lambda x: tf.linalg.inv(x), input_signature=[tf.TensorSpec((2, 2))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "flex.tflite").write_bytes(converter.convert())
    with pytest.raises((ExportError, TFLiteFileError), match="FlexMatrixInverse"):
        builtin_operations(tmp_path / "flex.tflite")


def test_verify_refuses(model, images, exported, tmp_path):
    with pytest.raises(ValueError, match="one label for each"):
        verify(model, images, labels=np.zeros(3, int))
    whole = (exported / "float32.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TFLiteFileError, match=r"cut\.tflite"):
        verify(model, images, tflite=(tmp_path / "cut.tflite",))
    with pytest.raises(FileNotFoundError):
        verify(model, images, tflite=(tmp_path / "missing.tflite",))


def test_files_of_another_model_are_refused(model, images, exported):
    """By what they take and by what they give; in one line that names the file and both."""
    larger, fewer = build(SPEC, input_shape=(48, 48, 3)), build(dataclasses.replace(SPEC, classes=7))
    other_images = np.zeros((2, 48, 48, 3), np.float32)
    for kind, name in (("tflite", "float32.tflite"), ("saved_model", "saved_model")):
        for asked, given, ends in (
            (larger, other_images, "48 x 48 x 3 and output 10"),
            (fewer, images, "3 and output 7"),
        ):
            with pytest.raises(ExportError) as refused:
                verify(asked, given, **{kind: (exported / name,)})
            message = str(refused.value)
            assert message.startswith(
                f"{exported / name} is a file of another model: it has input 32 x 32 x 3 and output 10, "
            )
            assert message.endswith(ends)
