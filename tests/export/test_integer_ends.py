"""int8 files with integer inputs and outputs: the numbers that float ends give, and nothing in float where promised."""

import json

import numpy as np
import pytest

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.export import convert, export_saved_model, verify, with_preprocessing
from scarlet_tf.models import build, measure_batch_norms
from scarlet_tf.tflite import Graph, ends_of, open_interpreter, optimize, read_record
from scarlet_tf.tflite.graph import Type

BLOCK = BlockSpec(
    kind="inverted_residual",
    kernel_size=7,
    in_channels=8,
    out_channels=8,
    hidden_channels=16,
    se_channels=4,
    shortcut=True,
)
SPEC = ArchSpec(
    name="tiny", blocks=(BLOCK,), resolution=16, classes=5, stem_channels=8, first_channels=8, tail_channels=16
)
INTEGERS = ("int8", "uint8")


@pytest.fixture(scope="module")
def pixels():
    """(12, 16, 16, 3) in 10..245, so that the calibrated range is not 0..255."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(30, 226, (12, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (coarse + rng.integers(-20, 20, (12, 16, 16, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def images(pixels):
    return (pixels / 255 - np.float32(0.5)) / np.float32(0.25)


@pytest.fixture(scope="module")
def models(images):
    """By what they end in."""
    softmax = build(SPEC)
    measure_batch_norms(softmax, [images])
    logits = build(SPEC, classifier_activation=None)
    logits.set_weights([3 * w if w.shape == (16, 5) else w for w in softmax.get_weights()])
    softmax.set_weights(logits.get_weights())
    return {"logits": logits, "softmax": softmax}


@pytest.fixture(scope="module")
def saved(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    return {name: export_saved_model(model, folder / name, batch_size=1) for name, model in models.items()}


def run(path, inputs):
    """The outputs as stored, for inputs as they go in."""
    interpreter = open_interpreter(path)
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for image in inputs[:, np.newaxis]:
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"]))
    return np.concatenate(outputs)


def quantized(real, scale, zero_point, dtype):
    limits = np.iinfo(dtype)
    return np.clip(np.round(real / np.float32(scale)) + zero_point, limits.min, limits.max).astype(dtype)


def types_of_operators(content):
    graph = Graph(content)
    used = {index for op in graph.operators for index in (*op.inputs, *op.outputs) if index >= 0}
    return {graph.tensor(index).type for index in used}


@pytest.mark.parametrize(
    ("end", "quantize", "optimize_for", "steps"),
    [
        ("logits", "int8", "xnnpack", 0),
        ("logits", "int8_pure", "xnnpack", 0),
        ("softmax", "int8", "xnnpack", 0),
        ("softmax", "int8", "none", 0),
        # Its float-ended file computes the softmax in float; TFLite's own int8 one may differ by a step of 1/256.
        ("softmax", "int8_pure", "xnnpack", 1),
    ],
)
def test_integer_ends_give_what_float_ends_give(models, saved, images, tmp_path, end, quantize, optimize_for, steps):
    options = {"quantize": quantize, "optimize_for": optimize_for, "representative": [images]}
    floats = tmp_path / "float.tflite"
    floats.write_bytes(convert(saved[end], **options).content)
    for source, result in zip(INTEGERS, reversed(INTEGERS), strict=True):
        content = convert(saved[end], input_type=source, output_type=result, **options).content
        ends = ends_of(content)
        assert (ends["input_type"], ends["output_type"]) == (source, result)
        scale, zero_point = ends["output_quantization"].values()
        if end == "softmax":
            assert (scale, zero_point) == (1 / 256, 0 if result == "uint8" else -128)
        if quantize == "int8_pure" or optimize_for == "none":
            assert types_of_operators(content) <= {Type.INT8, Type.UINT8, Type.INT32}
        path = tmp_path / f"{source}.tflite"
        path.write_bytes(content)
        image_scale, image_zero = ends["input_quantization"].values()
        inputs = quantized(images, image_scale, image_zero, source)
        integers = run(path, inputs)
        # Real values that the float file's own QUANTIZE turns into the same integers, wherever it rounds ties to.
        expected = run(floats, (inputs.astype(np.float32) - image_zero) * np.float32(image_scale))
        assert np.ptp(expected, axis=0).max() > 0.02
        wanted = quantized(expected, scale, zero_point, integers.dtype)
        assert np.abs(integers.astype(int) - wanted.astype(int)).max() <= steps
    (check,) = verify(models[end], images, tflite=(path,)).formats
    largest = np.abs(np.asarray(models[end](images)) - (integers.astype(np.float32) - zero_point) * scale).max()
    assert check.max_error == pytest.approx(largest, rel=1e-5)


@pytest.mark.parametrize(("quantize", "integer", "zero_point"), [("int8", "uint8", 0), ("int8_pure", "int8", -128)])
def test_pixels_go_in_as_they_are(models, pixels, images, tmp_path, quantize, integer, zero_point):
    """A normalisation inside the file costs no more than that of an int8 file that takes normalised images."""
    whole = with_preprocessing(models["logits"], mean=[0.5] * 3, std=[0.25] * 3)
    errors = []
    for name, model, batch, given in (
        ("normalised", models["logits"], images, None),
        ("pixels", whole, pixels, (0.0, 255.0)),
    ):
        folder = export_saved_model(model, tmp_path / name, batch_size=1)
        options = {"quantize": quantize, "input_type": integer, "output_type": integer, "input_range": given}
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(convert(folder, representative=[batch], **options).content)
        (check,) = verify(model, batch, tflite=(path,)).formats
        errors.append(check.relative_error)
    assert ends_of(path.read_bytes())["input_quantization"] == {"scale": 1.0, "zero_point": zero_point}
    assert errors[1] <= 2 * errors[0]


def test_the_optimizer_takes_them(saved, images):
    content = convert(
        saved["softmax"],
        quantize="int8",
        input_type="int8",
        output_type="uint8",
        representative=[images],
        optimize_for="none",
    ).content
    result = optimize(content, label="ends")
    assert ends_of(result.content) == ends_of(content)
    assert [array.dtype for array in (*result.before.inputs, *result.after.outputs)] == [np.int8, np.uint8]
    assert np.abs(result.after.outputs[0].astype(int) - result.before.outputs[0]).max() <= 255 * 0.25


def test_the_tool_prints_and_records_both_ends(tmp_path, call_tool, bright_images):
    SPEC.save(tmp_path / "spec.json")
    folder = bright_images(side=16, classes=2, train=4, test=1)
    flags = ["--model=spec.json", "--output=a.tflite", "--quantize=int8_pure", "--input_type=uint8"]
    flags += ["--output_type=int8", "--include_preprocessing", f"--representative_dataset=folder:{folder}"]
    done = call_tool("export_tflite", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ends = "input uint8, scale 1, zero point 0; output int8, scale 0.00390625, zero point -128"
    assert ends in done.stdout.splitlines()
    record = read_record(tmp_path / "a.tflite")
    assert (record["quantize"], record["input_type"], record["output_type"]) == ("int8_pure", "uint8", "int8")
    assert record["input_quantization"] == {"scale": 1.0, "zero_point": 0}
    assert record["output_quantization"] == {"scale": 1 / 256, "zero_point": -128}
    done = call_tool("benchmark_host", "--models=a.tflite", "--runs=2", "--output=a.json", cwd=tmp_path)
    assert done.returncode == 0 and json.loads((tmp_path / "a.json").read_text())[0]["runs"] == 2
