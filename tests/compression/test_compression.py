"""Each method from a trained folder to a .tflite file: what it promises of the weights holds in the file."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.special
from rounding import network_limit

from scarlet_tf.arch import ArchSpec
from scarlet_tf.compression import CompressionError, compress, compression_config, convert_qat, open_qat, open_source
from scarlet_tf.compression.int8 import _better, describe_int8
from scarlet_tf.compression.ranges import read_ranges
from scarlet_tf.compression.twin import make_twin
from scarlet_tf.data import open_dataset
from scarlet_tf.export import FormatCheck, export_tflite
from scarlet_tf.export.tflite import rewrite
from scarlet_tf.models import get_weights
from scarlet_tf.tflite import Graph, open_interpreter, operation_counts, partition_count
from scarlet_tf.tflite.graph import Op, Type
from scarlet_tf.zoo import open_model

SHORT = {"batch_size": 12, "epochs": 5, "augment": "none"}


def run(trained, data, output, **options):
    config = compression_config("small", **(SHORT | options))
    return compress(open_source(trained), data, config, output=output, log_every=1)


@pytest.fixture(scope="module")
def qat(trained, data, tmp_path_factory):
    """Folder and result of a quantisation-aware run."""
    output = tmp_path_factory.mktemp("runs") / "qat"
    return output, run(trained, data, output, qat=True)


def kernels_of(content: bytes) -> list[np.ndarray]:
    """Real values of convolutions' and dense layers' kernels, not of depthwise ones."""
    graph = Graph(content)
    layers = graph.of_kind(Op.CONV_2D) + graph.of_kind(Op.FULLY_CONNECTED)
    return [graph.real_constant(operator.inputs[1]) for operator in layers]


def outputs(path, images) -> np.ndarray:
    """Of a .tflite file; images are quantized for one that takes uint8."""
    interpreter = open_interpreter(path)
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    if source["dtype"] == np.uint8:
        scale, zero = source["quantization"]
        images = np.clip(np.round(images / scale) + zero, 0, 255).astype(np.uint8)
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], image[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result["index"])[0])
    return np.array(rows)


def test_twin_gives_the_models_outputs(untrained, data):
    source = open_source(untrained)
    twin = make_twin(source.spec, source.weights, input_shape=source.input_shape, bn=source.bn)
    images, _ = data.arrays("test")
    expected = np.asarray(open_model(untrained).model(images))
    assert np.abs(np.asarray(twin(images)) - expected).max() <= 2 * network_limit(source.spec) * np.abs(expected).max()
    for name, array in get_weights(twin).items():
        np.testing.assert_array_equal(array, source.weights[name], err_msg=name)


@pytest.mark.slow
def test_pruned_kernels_are_sparse_in_the_file(trained, data, tmp_path):
    result = run(trained, data, tmp_path / "pruned", prune=0.5)
    loaded = open_model(tmp_path / "pruned")
    content = export_tflite(loaded.model, tmp_path / "a.tflite").content
    shares = [float(np.mean(kernel == 0)) for kernel in kernels_of(content)]
    assert len(shares) == 10 and min(shares) >= 0.5
    assert max(shares) < 0.6
    record = result["compression"]
    assert record["reached"]["sparsity"] == pytest.approx(0.5, abs=0.02) and record["source_test"]["top1"] >= 0.9
    assert result["started_from"] == f"{trained.name}, trained on {data.config.name}"
    assert result["test"]["top1"] >= 0.8


@pytest.mark.slow
def test_clustered_kernels_have_few_values_in_the_file(trained, data, tmp_path):
    result = run(trained, data, tmp_path / "clustered", cluster=8)
    content = export_tflite(open_model(tmp_path / "clustered").model, tmp_path / "a.tflite").content
    values = [len(np.unique(kernel)) for kernel in kernels_of(content)]
    assert len(values) == 10 and max(values) <= 8
    assert result["test"]["top1"] >= 0.8


@pytest.mark.slow
def test_qat_file_is_int8_and_agrees_with_the_trained_ranges(qat, data, tmp_path):
    folder, result = qat
    content = convert_qat(folder)
    (tmp_path / "a.tflite").write_bytes(content)
    assert not [name for name in operation_counts(tmp_path / "a.tflite") if name.startswith("custom:")]
    graph = Graph(content)
    kinds = [graph.name(operator) for operator in graph.operators]
    assert kinds[0] == "QUANTIZE" and kinds[-1] == "DEQUANTIZE"
    inner = graph.operators[1:-1]
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(kinds[1:-1])
    assert all(graph.is_type(operator.outputs[0], Type.INT8) for operator in inner)
    kinds = (Op.CONV_2D, Op.DEPTHWISE_CONV_2D, Op.FULLY_CONNECTED)
    layers = [operator for kind in kinds for operator in graph.of_kind(kind)]
    assert len(layers) == 13 and all(graph.is_type(operator.inputs[1], Type.INT8) for operator in layers)
    images, labels = data.arrays("test")
    emulated = np.asarray(open_qat(folder)(images, training=False))
    (tmp_path / "b.tflite").write_bytes(convert_qat(folder, input_type="uint8"))
    integers = Graph(convert_qat(folder, input_type="int8", output_type="uint8"))
    used = {index for operator in integers.operators for index in (*operator.inputs, *operator.outputs) if index >= 0}
    assert {integers.type_name(index) for index in used} == {"int8", "uint8", "int32"}
    for name in ("a.tflite", "b.tflite"):
        logits = outputs(tmp_path / name, images)
        assert np.abs(logits - emulated).max() <= 0.1 * np.abs(emulated).max()
        assert np.mean(logits.argmax(-1) == emulated.argmax(-1)) >= 11 / 12
        accuracy = float(np.mean(logits.argmax(-1) == labels))
        assert accuracy == pytest.approx(result["compression"]["quantized_test"]["top1"], abs=0.1) and accuracy >= 0.8


@pytest.mark.slow
def test_qat_folder_is_exported_and_rewritten_by_the_tool(qat, data, tmp_path, call_tool):
    folder, _ = qat
    done = call_tool("export_tflite", f"--model={folder}", "--output=q.tflite", "--quantize=int8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / "training.json").read_text())["compression"]["int8"]
    assert "on 8 images of random noise" in done.stdout and "clip noise: use tools/verify.py" in done.stdout
    assert describe_int8(record) in done.stdout and partition_count(open_interpreter(tmp_path / "q.tflite")) == 1
    flags = ["--output=s.tflite", "--quantize=int8", "--softmax"]
    done = call_tool("export_tflite", f"--model={folder}", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    images = data.arrays("test")[0]
    scores, logits = (outputs(tmp_path / name, images) for name in ("s.tflite", "q.tflite"))
    np.testing.assert_allclose(
        scores, scipy.special.softmax(logits, axis=-1), atol=2 / 256
    )  # an int8 one has 256 values
    done = call_tool("export_tflite", f"--model={folder}", "--output=p.tflite", "--quantize=int8_pure", cwd=tmp_path)
    assert done.returncode == 2 and not (tmp_path / "p.tflite").exists()


@pytest.mark.slow
def test_int8_files_are_measured_on_test_images(qat, data, tmp_path):
    """What the run says of its file is what the file gives."""
    folder, result = qat
    record = result["compression"]["int8"]
    images, labels = data.arrays("test")
    (tmp_path / "a.tflite").write_bytes(rewrite(convert_qat(folder)).content)
    logits, network = outputs(tmp_path / "a.tflite", images), open_model(folder).model
    differences = logits - np.asarray(network(images))
    assert record["images"] == len(labels)
    assert record["qat"]["top1"] == float(np.mean(logits.argmax(-1) == labels))
    assert record["qat"]["rms_error"] == pytest.approx(float(np.sqrt(np.mean(differences**2))), rel=1e-3)
    assert record["qat"]["max_error"] == pytest.approx(float(np.abs(differences).max()), rel=1e-3)


def test_the_better_file_is_said():
    def files(**top1_and_error):
        return {name: {"top1": top1, "rms_error": error} for name, (top1, error) in top1_and_error.items()}

    found = files(qat=(0.91, 0.05), post_training=(0.90, 0.06), post_training_of_source=(0.905, 0.07))
    line = describe_int8({"images": 500, "better": "qat"} | found)
    assert (
        "top-1 on 500 test images: quantisation-aware training 0.9100 (logit error 0.05)" in line
        and "The best is" not in line
    )
    line = describe_int8({"images": 500, "better": "post_training"} | found)
    best = "The best is post-training quantisation of the same weights: export with --representative_dataset to get it"
    assert line.endswith(f"{best}; its test accuracy will be too high, as it was chosen on test images")
    line = describe_int8({"images": 500, "split": "validation", "better": "post_training"} | found)
    assert line.endswith(best) and "top-1 on 500 validation images: " in line


@pytest.mark.slow
@pytest.mark.parametrize("method", [{"cluster": 8}, {"qat": True}])
def test_stopped_and_continued_ends_with_the_same_bits(untrained, data, tmp_path, method, monkeypatch, few_ranges):
    """With validation after each epoch, of which the best is kept."""
    from scarlet_tf.compression import trainer
    from scarlet_tf.compression.step import FineTuneState

    # For its time: it reads what is compared here. The line that describes it is another test's.
    monkeypatch.setattr(trainer, "compare_int8", lambda *_: None)
    data = open_dataset(dataclasses.replace(data.config, validation="test"))
    settings = SHORT | {"epochs": 2, "keep": "best", "class_weight": "balanced"} | method
    config = compression_config("small", **settings)
    source = open_source(untrained)
    result = compress(source, data, config, output=tmp_path / "whole", name="own", checkpoint_every=3)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    seen = {line["step"]: line["validation_balanced_accuracy"] for line in lines if "validation_loss" in line}
    assert len(seen) == 2 and seen[result["selection"]["best_step"]] == max(seen.values())
    assert result["validation"] == result["test"]
    if method != {"qat": True}:  # whose ranges are chosen once more after training
        assert result["test"]["balanced_accuracy"] == max(seen.values())
    assert result["name"] == ArchSpec.load(tmp_path / "whole" / "spec.json").name == "own"
    real = FineTuneState.take_steps

    def stops(self, first, batches):
        if first == 5:
            raise KeyboardInterrupt
        return real(self, first, batches)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FineTuneState, "take_steps", stops)
        compress(source, data, config, output=tmp_path / "stopped", checkpoint_every=3)
    other = compression_config("small", **(settings | {"seed": 1}))
    for output in ("stopped", "whole"):
        with pytest.raises(ValueError, match=r"other settings \(compression.training.seed was 0, is 1\)"):
            compress(source, data, other, output=tmp_path / output)
    compress(source, data, config, output=tmp_path / "stopped", checkpoint_every=3)
    whole, continued = (get_weights(open_model(tmp_path / name).model) for name in ("whole", "stopped"))
    for name, array in whole.items():
        np.testing.assert_array_equal(continued[name], array, err_msg=name)
    if method == {"qat": True}:
        whole, continued = (read_ranges(tmp_path / name / "qat.npz") for name in ("whole", "stopped"))
        assert whole == continued


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qat": True, "prune": 0.5}, "expected one compression method, got qat and prune"),
        ({"prune": 1.0}, r"sparsity must be in \(0, 1\), got 1.0"),
        ({"cluster": 1}, "clusters must be an integer in 2..256, got 1"),
        ({"qat": True, "dropout": 0.2}, "dropout must be 0 in compression, got 0.2"),
        ({"qat": True, "zero_gamma": True}, "zero_gamma must be 0 in compression, got True"),
    ],
)
def test_settings_that_cannot_be_met(options, message):
    with pytest.raises(CompressionError, match=message):
        compression_config("small", **options)


def test_sources_that_cannot_be_compressed(untrained, tmp_path):
    with pytest.raises(CompressionError, match="has no trained weights"):
        open_source("scarlet_c")
    with pytest.raises(CompressionError, match="expected a trained model's folder"):
        open_source(untrained / "model.keras")
    for name in ("spec.json", "model.keras"):
        (tmp_path / name).write_bytes((untrained / name).read_bytes())
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        open_source(tmp_path)
    assert json.loads((untrained / "training.json").read_text())["fingerprint"] == open_source(untrained).fingerprint


def test_a_spec_with_weights_is_the_same_source(untrained):
    folder, apart = open_source(untrained), open_source(untrained / "spec.json", weights=untrained / "model.keras")
    assert apart.spec == folder.spec and apart.input_shape == (16, 16, 3) and len(apart.fingerprint) == 16
    for name, array in folder.weights.items():
        np.testing.assert_array_equal(apart.weights[name], array, err_msg=name)


def test_the_better_file_is_of_the_best_top1_that_chance_allows():
    rest = {"path": "a", "bytes": 1, "operations": {}, "partitions": 1, "max_error": 1.0, "relative_error": 0.1}

    def check(accuracy, rms_error):
        return FormatCheck(**rest, rms_error=rms_error, top1_agreement=0.99, accuracy=accuracy)

    # Of 500 images 2 % may differ between two files, 10 images, and by chance 2 * sqrt(10) = 6.3 more right than wrong.
    qat, post = check(0.900, 0.05), check(0.912, 0.06)
    assert _better({"qat": qat, "post_training": post}, images=500) == "qat"
    assert _better({"qat": qat, "post_training": check(0.914, 0.06)}, images=500) == "post_training"
    assert _better({"qat": check(0.914, 0.06), "post_training": qat}, images=500) == "qat"
