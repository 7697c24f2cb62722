"""What a model ends in, and that a softmax is added where and only where one is missing."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.export import export_saved_model, export_tflite, output_name, prepare, verify, with_softmax
from scarlet_tf.models import build
from scarlet_tf.tflite import read_files, read_record
from scarlet_tf.zoo import create_model
from scarlet_tf.zoo.labels import imagenet_classes

SPEC = get_space("small").spec((3, 9, 1, 12, 11, 12))
SHIPPED = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"
dense = keras.layers.Dense


def head(*layers):
    image = x = keras.Input((4, 4, 3))
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x, name="head")


def pool():
    return keras.layers.GlobalAveragePooling2D()


ENDINGS = {
    "dense": (lambda: head(pool(), dense(5)), "logits"),
    "softmax of a dense": (lambda: head(pool(), dense(5, activation="softmax")), "probabilities"),
    "sigmoid": (lambda: head(pool(), dense(5, activation="sigmoid")), "probabilities"),
    "a softmax layer": (lambda: head(pool(), dense(5), keras.layers.Softmax()), "probabilities"),
    "an activation layer": (lambda: head(pool(), dense(5), keras.layers.Activation("softmax")), "probabilities"),
    "nested": (lambda: head(head(pool(), dense(5))), "logits"),
    "hidden layer": (lambda: head(pool(), dense(5, activation="relu")), "features"),
    "pooled": (lambda: head(pool()), "features"),
    "map of points": (lambda: head(dense(5)), "features"),
    "network": (lambda: build(SPEC), "probabilities"),
    "network of logits": (lambda: build(SPEC, classifier_activation=None), "logits"),
    "network without top": (lambda: build(SPEC, include_top=False), "features"),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_endings(case):
    make, ending = ENDINGS[case]
    model = make()
    assert output_name(model) == ending
    if ending == "features":
        with pytest.raises(
            ValueError, match=f"softmax needs a model that ends in logits, but '{model.name}' ends in feat"
        ):
            with_softmax(model)
        return
    scored = with_softmax(model)
    assert (scored is model) == (ending == "probabilities") and output_name(scored) == "probabilities"
    if ending == "logits":
        images = np.random.default_rng(0).standard_normal((2, *model.input_shape[1:])).astype(np.float32)
        logits = np.float64(model(images))
        expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        np.testing.assert_allclose(scored(images), expected, rtol=1e-5)


def test_softmax_of_a_half_precision_model_is_float32():
    model = with_softmax(head(pool(), dense(5, dtype="float16")))
    assert model.outputs[0].dtype == "float32"


@pytest.fixture(scope="module")
def scored():
    return prepare(SHIPPED, softmax=True, examples=8)


def test_files_of_a_trained_model(scored, tmp_path):
    """Scores, with the labels and the record that say so; `verify` compares them with the model's logits, too."""
    export_tflite(scored.model, tmp_path / "a.tflite", record=scored.record)
    export_saved_model(scored.model, tmp_path / "saved")
    names = json.loads((SHIPPED / "training.json").read_text())["class_names"]
    assert read_files((tmp_path / "a.tflite").read_bytes())["labels.txt"].decode().splitlines() == names
    record = read_record(tmp_path / "a.tflite")
    assert (record["output"], record["class_names"]) == ("probabilities", names)
    logits = prepare(SHIPPED, examples=8)
    assert logits.record["output"] == "logits" and any("gets a softmax" in note for note in scored.notes)
    for model in (scored.original, logits.original):
        checks = verify(model, scored.images, tflite=[tmp_path / "a.tflite"], saved_model=[tmp_path / "saved"]).formats
        assert all(check.relative_error <= 1e-5 and check.top1_agreement == 1 for check in checks)


def test_int8_scores_have_the_scale_of_scores(scored, tmp_path):
    """A float softmax after logits of int8: if these are off by e at most, scores are by tanh(e / 2)."""
    images = scored.images
    export_tflite(scored.model, tmp_path / "a.tflite", quantize="int8", representative=[images], record=scored.record)
    (check,) = verify(scored.model, images, tflite=[tmp_path / "a.tflite"]).formats
    logits = prepare(SHIPPED, examples=8)
    export_tflite(logits.model, tmp_path / "b.tflite", quantize="int8", representative=[images], record=logits.record)
    (plain,) = verify(logits.model, images, tflite=[tmp_path / "b.tflite"]).formats
    assert 0 < check.max_error <= np.tanh(plain.max_error / 2) + 1e-6 and "SOFTMAX" in check.operations


def test_models_that_no_file_can_hold_are_refused_in_one_line(tmp_path):
    create_model(SPEC, include_top=False, pooling="avg").save(tmp_path / "any_size.keras")
    with pytest.raises(ValueError, match=r"takes images of any size, None x None: expected .* a fixed size"):
        prepare(tmp_path / "any_size.keras")
    export_saved_model(build(SPEC), tmp_path / "four", batch_size=4)
    with pytest.raises(ValueError, match="four takes batches of 4 images: export it again"):
        prepare(tmp_path / "four")


def test_layers_that_are_named_like_a_let(tmp_path):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1, name="outlet_let")(image)
    keras.Model(image, dense(5)(pool()(x))).save(tmp_path / "m.keras")
    assert not any("LET" in note for note in prepare(tmp_path / "m.keras", examples=2).notes)


def test_imagenet_labels(tmp_path):
    """Of weights for the 1,000 classes; random weights know no class."""
    spec = dataclasses.replace(SPEC, classes=1000)
    spec.save(tmp_path / "spec.json")
    build(spec).save_weights(tmp_path / "a.weights.h5")
    named = prepare(tmp_path / "spec.json", weights=tmp_path / "a.weights.h5", examples=2).record["class_names"]
    assert named == [name for _, name in imagenet_classes()] and len(named) == 1000
    assert prepare(tmp_path / "spec.json", examples=2).record["class_names"] is None


@pytest.mark.parametrize("count", [1, 9, 11])
def test_another_number_of_class_names(count, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(SHIPPED, folder)
    training = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(training | {"class_names": ["a"] * count}))
    with pytest.raises(ValueError, match=f"training.json names {count} classes, but 'scarlet_fashion' has 10 outputs"):
        prepare(folder, examples=1)


def test_a_saved_model_has_its_own_end(scored, tmp_path):
    export_saved_model(scored.model, tmp_path / "saved")
    with pytest.raises(ValueError, match=r"softmax cannot be set for '.*saved': a SavedModel has its own"):
        prepare(tmp_path / "saved", softmax=True)


@pytest.mark.parametrize("tool", ["export_tflite", "export_onnx"])
def test_tools_refuse_features(tool, tmp_path, call_tool):
    build(SPEC, include_top=False, name="backbone").save(tmp_path / "b.keras")
    result = call_tool(tool, "--model=b.keras", "--output=out", "--softmax", cwd=tmp_path)
    assert result.returncode == 2 and "'backbone' ends in features" in result.stderr.strip().splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["b.keras"]
