"""What the exporter offers beyond a plain conversion: int8 without float, pixels in, SavedModels, records."""

import numpy as np
import pytest
import tensorflow as tf
from rounding import network_limit, rounding_limit

from scarlet_tf.arch import get_space
from scarlet_tf.export import export_saved_model, export_tflite, prepare, verify, with_preprocessing
from scarlet_tf.export.served import ServedModel
from scarlet_tf.models import build, set_weights
from scarlet_tf.tflite import Graph, open_interpreter, partition_count, read_record
from scarlet_tf.tflite.graph import Type

SPEC = get_space("small").spec((3, 9, 11, 12, 5, 12))  # 5x5, 7x7 with stride 2 and 1, SE


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).standard_normal((24, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model(random_weights):
    built = build(SPEC, classifier_activation=None)
    set_weights(built, random_weights(SPEC, 3))
    return built


@pytest.fixture(scope="module")
def with_softmax(random_weights):
    built = build(SPEC)
    set_weights(built, random_weights(SPEC, 3))
    return built


@pytest.fixture(scope="module")
def pure(with_softmax, images, tmp_path_factory):
    path = tmp_path_factory.mktemp("pure") / "pure.tflite"
    export_tflite(with_softmax, path, quantize="int8_pure", representative=[images], record={"model": SPEC.name})
    return path


def test_pure_int8_has_no_float_operation(pure):
    """Between QUANTIZE at the start, and DEQUANTIZE and SOFTMAX at the end."""
    graph = Graph(pure.read_bytes())
    names = [graph.name(op) for op in graph.operators]
    assert names[0] == "QUANTIZE" and names[-2:] == ["DEQUANTIZE", "SOFTMAX"]
    assert not {"QUANTIZE", "DEQUANTIZE", "HARD_SWISH", "SOFTMAX"} & set(names[1:-2])
    float_tensors = [t for t in graph.subgraph.tensors if t.type == Type.FLOAT32]
    assert len(float_tensors) == 3  # the file's input, its logits and its output
    kernels = [graph.shape(op.inputs[1])[1:3] for op in graph.operators if graph.name(op) == "DEPTHWISE_CONV_2D"]
    assert max(rows * columns for rows, columns in kernels) <= 25
    assert partition_count(open_interpreter(pure)) == 1


def test_pure_int8_agrees_with_the_model(with_softmax, pure, images):
    (check,) = verify(with_softmax, images, tflite=(pure,)).formats
    assert check.relative_error <= 0.25 and check.top1_agreement >= 0.75


def test_record_is_read_back_and_the_signature_works(model, pure, images):
    assert read_record(pure.read_bytes()) == {
        "model": SPEC.name,
        "quantize": "int8_pure",
        "input_type": "float32",
        "input_quantization": None,
        "output_type": "float32",
        "output_quantization": None,
        "optimize_for": "xnnpack",
    }
    runner = open_interpreter(pure).get_signature_runner("serving_default")
    assert runner(image=images[:1])["probabilities"].shape == (1, 10)


@pytest.mark.parametrize("quantize", ["float32", "float16", "dynamic", "int8"])
def test_rewritten_files_are_one_partition(model, images, tmp_path, quantize):
    calibration = [images] if quantize == "int8" else None
    files = []
    for target in ("none", "xnnpack"):
        path = tmp_path / f"{target}.tflite"
        converted = export_tflite(
            model, path, quantize=quantize, representative=calibration, optimize_for=target, record={}
        )
        assert bool(converted.reports) == (target == "xnnpack")
        files.append(path)
    plain, rewritten = verify(model, images, tflite=tuple(files)).formats
    assert rewritten.partitions == 1
    assert (plain.format, rewritten.format) == (f"{quantize}, plain", quantize)
    assert plain.operations["DEPTHWISE_CONV_2D"] == 5 and rewritten.operations["DEPTHWISE_CONV_2D"] in (
        3,
        3 + 2 * 3,
        3 + 2 * 5,
    )
    limit = {
        "float32": 2 * network_limit(SPEC),
        "float16": rounding_limit(3 * len(SPEC.blocks) + 5, dtype="float16"),  # an error in the weights of every sum
        "dynamic": 0.2,
        "int8": 0.2,
    }[quantize]
    assert plain.relative_error <= limit and rewritten.relative_error <= limit


def test_preprocessing_inside_takes_pixels(model, images, tmp_path):
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    normalised = (pixels / 255.0 - np.float32(mean)) / np.float32(std)
    whole = with_preprocessing(model, mean=mean, std=std)
    expected = np.asarray(model(normalised))
    limit = 2 * network_limit(SPEC) * np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(whole(pixels)), expected, atol=limit)
    export_tflite(whole, tmp_path / "a.tflite")
    (check,) = verify(whole, pixels, tflite=(tmp_path / "a.tflite",)).formats
    assert check.relative_error <= 2 * network_limit(SPEC)
    runner = open_interpreter(tmp_path / "a.tflite").get_signature_runner("serving_default")
    np.testing.assert_allclose(runner(image=pixels[:1])["logits"], expected[:1], atol=limit)


def test_saved_model_folder_is_exported(model, images, tmp_path):
    export_saved_model(model, tmp_path / "saved")  # any batch
    source = prepare(tmp_path / "saved", examples=3)
    assert isinstance(source.model, ServedModel) and source.images.shape == (3, 32, 32, 3)
    export_tflite(source.model, tmp_path / "a.tflite", record=source.record)
    (check,) = verify(model, images, tflite=(tmp_path / "a.tflite",)).formats
    assert check.relative_error <= 2 * network_limit(SPEC) and check.partitions == 1
    assert read_record((tmp_path / "a.tflite").read_bytes())["model"] == "saved"
    with pytest.raises(ValueError, match="weights cannot be set for"):
        prepare(tmp_path / "saved", weights="w.weights.h5")


def test_a_saved_model_that_is_none_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="expected a signature 'serving_default', got \\[\\]"):
        ServedModel(tmp_path / "empty")
    (tmp_path / "empty" / "saved_model.pb").write_bytes(b"junk")
    with pytest.raises(ValueError, match="cannot be loaded as a SavedModel"):
        ServedModel(tmp_path / "empty")
