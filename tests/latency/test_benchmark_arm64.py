"""tools/benchmark_arm64.py: what it prints and writes, and test images by a file's record."""

import json

import keras
import numpy as np
import pytest

from scarlet_tf.export import ExportError, export_tflite, labelled_images
from scarlet_tf.latency import count_instructions
from scarlet_tf.zoo import Preprocessing


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A float32 file that tells bright images, "class1", from dark ones, "class0", in the other order."""
    inputs = keras.Input((8, 8, 3))
    logits = keras.layers.Conv2D(2, 1)(keras.layers.GlobalAveragePooling2D(keepdims=True)(inputs))
    model = keras.Model(inputs, keras.layers.Flatten()(logits))
    model.set_weights([np.float32([[[[1, -1]] * 3]]), np.float32([0, 0])])
    preprocessing = Preprocessing(mean=(0.3, 0.3, 0.3), std=(0.1, 0.1, 0.1), resize=8, crop=8)
    path = tmp_path_factory.mktemp("classifier") / "bright.tflite"
    export_tflite(model, path, record={"input": preprocessing.to_dict(), "class_names": ["class1", "class0"]})
    return path


def test_images_are_prepared_as_recorded_and_labels_are_outputs(classifier, bright_images):
    folder = bright_images(side=8, classes=2, train=1, test=3)
    images, labels = labelled_images(classifier, dataset=f"folder:{folder}", limit=5)
    assert images.shape == (5, 8, 8, 3) and images.dtype == np.float32
    assert sorted(labels.tolist()) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])
    assert all((image.mean() > 0) == (label == 0) for image, label in zip(images, labels, strict=True))


def test_a_file_without_a_record_is_refused(tflite_file):
    with pytest.raises(ExportError, match=r"small\.tflite does not record how its images are prepared"):
        labelled_images(tflite_file, dataset="fashion_mnist")


@pytest.mark.slow
def test_counts_files_and_operators(emulator, classifier, tflite_file, tmp_path, call_tool):
    (tmp_path / "damaged.tflite").write_bytes(b"PK")
    flags = ["--cpu=cortex-a72,x86-avx2", "--operators", "--output=counts.json", "--seed=1"]
    result = call_tool("benchmark_arm64", f"--models={tflite_file},{classifier},damaged.tflite", *flags, cwd=tmp_path)
    assert result.returncode == 2
    assert "damaged.tflite: the model cannot be run" in result.stderr.splitlines()[-1]
    saved = json.loads((tmp_path / "counts.json").read_text())
    assert [cost["cpu"] for cost in saved["costs"]] == ["cortex-a72"] * 2 + ["x86-avx2"] * 2
    assert list(saved["failures"]) == ["damaged.tflite"]
    expected = count_instructions([tflite_file, classifier], cpu="x86-avx2", seed=1)
    assert [cost["instructions"] for cost in saved["costs"][2:]] == expected
    for cost in saved["costs"]:
        assert sum(kind["count"] for kind in cost["profile"]["kinds"]) == len(cost["profile"]["operators"])
        assert f"{cost['instructions'] / 1e6:.3f}" in result.stdout
    assert "MEAN" in result.stdout and "DEPTHWISE_CONV_2D" in result.stdout


def test_compares_outputs_on_images(emulator, classifier, bright_images, tmp_path, call_tool):
    folder = bright_images(side=8, classes=2, train=1, test=2)
    flags = ["--images=4", f"--dataset=folder:{folder}", "--output=images.json"]
    result = call_tool("benchmark_arm64", f"--models={classifier}", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (found,) = json.loads((tmp_path / "images.json").read_text())["comparisons"]
    assert (found["images"], found["accuracy"], found["emulated_accuracy"], found["top1_agreement"]) == (4, 1, 1, 1)
    assert found["max_error"] < 1e-5
    assert "1.0000" in result.stdout


def test_without_the_emulator_it_names_the_set_up(tflite_file, tmp_path, monkeypatch, call_tool):
    monkeypatch.setenv("SCARLET_TF_ARM64", str(tmp_path / "absent"))
    result = call_tool("benchmark_arm64", f"--models={tflite_file}", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"benchmark_arm64.py: no emulator in {tmp_path / 'absent'}: run python tools/benchmark_arm64.py --set_up"
    ]
