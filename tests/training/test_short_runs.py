"""Runs of few steps: statistics are measured, and the tool says why; class weights; names."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from rounding import rounding_limit

from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.training.config import TrainConfigError, too_few_for_moving_statistics, train_config
from scarlet_tf.training.folder import name_of_folder
from scarlet_tf.training.messages import notes_before, statistics_warning, summarize_result, warnings_before
from scarlet_tf.training.session import balanced_class_weights
from scarlet_tf.training.step import TrainState


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
def test_moving_statistics_are_ready_when_the_first_values_are_gone(momentum):
    """At the first number of steps that is enough, a moving average of 1 then 0 is at most e^-10."""
    steps = next(n for n in range(1, 10_000) if not too_few_for_moving_statistics(n, momentum=momentum))
    average = 1.0
    for _ in range(steps):
        average = momentum * average
    assert average <= np.exp(-10) and steps <= 1 + 10 / (1 - momentum)


@pytest.fixture(scope="module")
def data(pictures):
    return open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16))


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "ema"), [(1, 0.0), (25, 0.99)])
def test_short_runs_and_averaged_weights_are_measured(runs, pictures, data, tmp_path, epochs, ema):
    """All 48 training images are one batch, so inference after it is what training mode computes of them."""
    result = runs.tiny_run(pictures, tmp_path, epochs=epochs, ema=ema, augment="none", dropout=0.0)
    assert result["config"]["measured_images"] is None and result["measured_images"] == 48
    model = build(runs.tiny_spec(), input_shape=(16, 16, 3), classifier_activation=None)
    set_weights(model, runs.saved_weights(tmp_path))
    images, _ = data.arrays("train")
    model.get_layer("dropout").rate = 0.0
    expected = np.asarray(model(images, training=True))
    # Seven normalisations with two sums over 48 x 8 x 8 positions each, in both.
    limit = 2 * rounding_limit(7 * 2 * 48 * 8 * 8) * np.abs(expected).max()
    np.testing.assert_allclose(model(images, training=False), expected, atol=limit)


@pytest.mark.slow
def test_enough_steps_and_frozen_ones_keep_moving_statistics(runs, pictures, data, tmp_path):
    config = train_config("small", batch_size=12, epochs=25)  # 4 steps an epoch
    assert not list(statistics_warning(data, config))
    (line,) = statistics_warning(data, train_config("small", batch_size=12, epochs=24.75))
    assert line.startswith("99 steps are too few for moving batch normalisation statistics, which are measured on 48")
    assert not list(statistics_warning(data, train_config("small", batch_size=12, epochs=2, frozen_epochs=2)))
    for kept in ({"ema": 0.0}, {"measured_images": 0}):
        result = runs.tiny_run(pictures, tmp_path / "_".join(kept), epochs=25, **kept)
        assert result["measured_images"] == 0
    weights = {name: array + 0.01 for name, array in get_weights(build(runs.tiny_spec())).items()}
    for asked in (None, 20):
        output = tmp_path / f"frozen_{asked}"
        how = {"epochs": 0.5, "frozen_epochs": 0.5, "measured_images": asked}
        assert runs.tiny_run(pictures, output, weights=weights, **how)["measured_images"] == 0
        saved = runs.saved_weights(output)["tail_bn/moving_variance"]
        np.testing.assert_array_equal(saved, weights["tail_bn/moving_variance"])


@pytest.fixture(scope="module")
def uneven(runs, tmp_path_factory):
    """The pictures with 16, 8 and 4 training images of a class."""
    root = tmp_path_factory.mktemp("uneven")
    runs.write_pictures(root)
    for name, left in (("green", 8), ("red", 4)):
        for path in sorted((root / "train" / name).iterdir())[left:]:
            path.unlink()
    return root


def test_balanced_class_weights(uneven, tmp_path):
    """Weights are n / (k n_c), so that all classes have the same sum of weights and the mean over images is 1."""
    data = open_dataset(DataConfig(name=f"folder:{uneven}", image_size=16))
    weights = balanced_class_weights(data)
    np.testing.assert_allclose(weights, [28 / (3 * 16), 28 / (3 * 8), 28 / (3 * 4)], rtol=1e-6)
    assert float(weights @ data.class_counts("train")) == pytest.approx(28)
    notes = list(notes_before(data, train_config("small", class_weight="balanced")))
    assert notes == ["class weights: blue 0.5833, green 1.167, red 2.333"]
    held_out = open_dataset(DataConfig(name=f"folder:{uneven}", image_size=16, validation=0.25))
    counts = held_out.class_counts("train")
    assert counts.tolist() == [12, 6, 3]
    np.testing.assert_allclose(balanced_class_weights(held_out), 21 / (3 * counts), rtol=1e-6)


def test_class_weights_scale_the_loss_of_each_image(runs):
    """The loss of a step without L2, dropout and smoothing, from the network's logits in float64."""
    weights, labels = np.float32([0.5, 2.0, 4.0]), np.array([0, 2, 2, 1])
    state = TrainState(
        *(runs.tiny_spec(), train_config("small", batch_size=4, ema=0.0, l2=0.0, label_smoothing=0.0)),
        strategy=make_strategy("one_device"),
        image_shape=(16, 16),
        steps_per_epoch=10,
        total_steps=20,
        class_weights=weights,
    )
    images = tf.random.stateless_normal((4, 16, 16, 3), [1, 2])
    state.model.get_layer("dropout").rate = 0.0
    logits = np.asarray(state.model(images, training=True), np.float64)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[range(4), labels]
    expected = (weights[labels] * losses).mean()
    scalars = state.take_steps(0, [(images, tf.constant(labels, tf.int32))])
    assert float(scalars["loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_class_without_training_images_is_named(data, monkeypatch):
    monkeypatch.setattr(type(data), "class_counts", lambda self, split: np.array([3, 0, 2]))
    with pytest.raises(
        TrainConfigError, match="class_weight=balanced needs training images of every class, but 'green'"
    ):
        balanced_class_weights(data)


def test_warnings_before_a_run(pictures):
    on_test = open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16, validation="test"))
    few = train_config("small", batch_size=24, keep="best")
    assert list(warnings_before(on_test, few)) == [
        "48 training images in batches of 24 give 2 steps per epoch, --batch_size=8 gives 6",
        "the weights are chosen on the test images (--validation=test): the test accuracy will be too high",
    ]
    named = open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16, validation=0.25))
    assert "test images" not in " ".join(warnings_before(named, few))
    (note,) = notes_before(on_test, few)
    assert note == "validation of the averaged weights after every epoch: 12 images of the split 'test'"
    (note,) = notes_before(on_test, train_config("small", ema=0.0))
    assert note == "validation of the weights after every epoch: 12 images of the split 'test'"


def test_the_test_images_by_another_name_are_noticed(pictures, tmp_path):
    """Without a folder test/, the images of val/ are the test images."""
    for split, stored in (("train", "train"), ("test", "val")):
        shutil.copytree(pictures / split, tmp_path / stored)
    chosen = ["the weights are chosen on the test images (--validation=val): the test accuracy will be too high"]
    config = DataConfig(name=f"folder:{tmp_path}", image_size=16, validation="val")
    assert list(warnings_before(open_dataset(config), train_config("small", batch_size=4, keep="best"))) == chosen
    assert not list(warnings_before(open_dataset(config), train_config("small", batch_size=4)))
    shutil.copytree(pictures / "test", tmp_path / "test")
    assert not list(warnings_before(open_dataset(config), train_config("small", batch_size=4, keep="best")))


@pytest.mark.parametrize(
    ("folder", "name"),
    [("runs/flowers", "flowers"), ("my run (2)", "my_run_2"), ("_x_", "x"), ("花", "trained"), ("/", "trained")],
)
def test_a_network_is_named_after_its_folder(folder, name):
    assert name_of_folder(folder) == name


def test_results_of_before_and_of_two_classes_are_summarised():
    old = {"test": {"top1": 0.5, "top5": 1.0}, "class_names": ["a", "b"], "steps": 3, "seconds": 1.5}
    assert summarize_result(old) == "test top-1 0.5000; 3 steps, 1.5 s"
    six = old | {"class_names": list("abcdef")}
    assert summarize_result(six) == "test top-1 0.5000, top-5 1.0000; 3 steps, 1.5 s"


@pytest.mark.slow
def test_the_tool_trains_uneven_classes_and_names_the_result(runs, uneven, tmp_path, call_tool):
    """From a trained folder to a fine-tuned one, which has a name of its own."""
    runs.tiny_run(uneven, tmp_path / "first", epochs=1)
    flags = [f"--dataset=folder:{uneven}", "--epochs=2", "--batch_size=4", "--validation=0.25"]
    tuned = call_tool(
        *("train", "--model=first", "--output=second", *flags, "--class_weight=balanced", "--patience=3"), cwd=tmp_path
    )
    assert tuned.returncode == 0, tuned.stderr
    notes = tuned.stdout.splitlines()
    assert notes[0] == "class weights: blue 0.5833, green 1.167, red 2.333"
    assert (
        notes[1]
        == "validation of the averaged weights after every epoch: 7 held-out training images, 21 remain for training"
    )
    assert "averaged weights of step" in notes[2] and "top-5" not in tuned.stdout
    assert "10 steps are too few for moving batch normalisation statistics" in tuned.stderr
    record = json.loads((tmp_path / "second" / "training.json").read_text())
    assert record["name"] == "second" and record["started_from"].startswith("first, trained on")
    assert ArchSpec.load(tmp_path / "second" / "spec.json").name == "second"
    assert record["class_weights"] == pytest.approx({"blue": 21 / 36, "green": 21 / 18, "red": 21 / 9})
    assert set(record["test"]["recall"]) == {"blue", "green", "red"} and record["measured_images"] == 21
    assert (tmp_path / "second" / "curves.png").read_bytes().startswith(b"\x89PNG")
    evaluated = call_tool("evaluate", "--model=second", "--split=validation", "--confusion=c.json", cwd=tmp_path)
    line = json.loads(evaluated.stdout)
    assert line["confusion"] == record["validation"]["confusion"] and line["examples"] == 7
    assert json.loads((tmp_path / "c.json").read_text())["class_names"] == ["blue", "green", "red"]
