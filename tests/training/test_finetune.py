"""Going on from trained weights: the classifier first, then everything; other images, other classes."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from rounding import rounding_limit

from scarlet_tf.arch import get_space
from scarlet_tf.data import DataConfig, DataError, open_dataset
from scarlet_tf.models import build, get_weights
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.training.config import train_config
from scarlet_tf.training.step import TrainState
from scarlet_tf.zoo import create_model, load_keras_file, starting_point

SHIPPED = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"
CLASSIFIER = {"classifier/kernel", "classifier/bias"}


@pytest.fixture(scope="module")
def trained(runs):
    """Weights of the tiny network with statistics that no initial model has, less the classifier's."""
    rng = np.random.default_rng(3)
    keras.utils.set_random_seed(0)  # of some initial weights a ReLU is dead, and what is before it learns nothing
    weights = get_weights(build(runs.tiny_spec()))
    return {
        name: array + (rng.uniform(0.2, 0.4, array.shape).astype(np.float32) if "moving" in name else 0)
        for name, array in weights.items()
        if name not in CLASSIFIER
    }


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [3, 2])
def test_frozen_epochs_change_the_classifier_alone(frozen, runs, pictures, trained, tmp_path):
    settings = {"epochs": 3, "frozen_epochs": frozen, "ema": 0.0}
    runs.tiny_run(pictures, tmp_path / "run", weights=trained, **settings)
    saved = runs.saved_weights(tmp_path / "run")
    changed = {name for name, array in saved.items() if name in CLASSIFIER or not np.array_equal(array, trained[name])}
    assert changed == (CLASSIFIER if frozen == 3 else set(saved))
    with pytest.raises(ValueError, match=r"other settings \(config.learning_rate was 0.1, is 0.2\)"):
        runs.tiny_run(pictures, tmp_path / "run", weights=trained, **settings, learning_rate=0.2)
    others = {name: 2 * array for name, array in trained.items()}
    with pytest.raises(ValueError, match=r"other settings \(the initial weights\)"):
        runs.tiny_run(pictures, tmp_path / "run", weights=others, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_steps_after_frozen_ones_are_those_of_a_new_optimizer(optimizer, runs):
    """Adam corrects its averages by the number of its steps: those of the classifier alone must not count."""
    constant = {"schedule": "exponential", "decay_rate": 1.0, "warmup_epochs": 0.0, "dropout": 0.0}
    config = train_config("finetune", optimizer=optimizer, batch_size=4, epochs=2, frozen_epochs=1, **constant)
    strategy, counts = make_strategy("one_device"), {"steps_per_epoch": 20, "total_steps": 40}
    tuned = TrainState(runs.tiny_spec(), config, strategy=strategy, image_shape=(16, 16), **counts)
    images = tf.random.stateless_normal((4, 16, 16, 3), [1, 2])
    batch = (images, tf.constant([0, 2, 2, 1], tf.int32))
    for number in range(20):
        tuned.take_steps(number, [batch])
    new = TrainState(
        *(runs.tiny_spec(), dataclasses.replace(config, frozen_epochs=0.0)),
        strategy=strategy,
        image_shape=(16, 16),
        weights=get_weights(tuned.model),
        **counts,
    )
    for number in range(3):
        tuned.take_steps(20 + number, [batch])
        new.take_steps(number, [batch])
    found, expected = get_weights(tuned.model), get_weights(new.model)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.slow
def test_measured_statistics_make_evaluation_what_training_saw(runs, pictures, trained, tmp_path):
    """All 48 training images are one batch: measured, the network gives in inference what it gives in training."""
    runs.tiny_run(pictures, tmp_path / "run", weights=trained, epochs=1, measured_images=48, augment="none", ema=0.0)
    model = load_keras_file(tmp_path / "run" / "model.keras")
    data = open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16))
    images, _ = data.arrays("train")
    expected = _without_dropout(model, images)
    # Seven normalisations with two sums over 48 x 8 x 8 positions each, in both.
    limit = 2 * rounding_limit(7 * 2 * 48 * 8 * 8) * np.abs(expected).max()
    np.testing.assert_allclose(model(images, training=False), expected, atol=limit)


def _without_dropout(model, images):
    model.get_layer("dropout").rate = 0.0
    return np.asarray(model(images, training=True))


def test_starting_point_of_a_trained_folder():
    start = starting_point(SHIPPED)
    assert start.mean == (0.286,) * 3 and start.std == (0.353,) * 3 and start.spec.classes == 10
    assert start.for_classes(10).weights.keys() >= CLASSIFIER and not start.for_classes(10).new_classifier
    other = start.for_classes(4)
    assert other.spec.classes == 4 and other.new_classifier and not other.weights.keys() & CLASSIFIER
    from_file = starting_point(SHIPPED / "spec.json", weights=SHIPPED / "model.keras")
    assert start.at_resolution(64).spec.resolution == 64
    assert start.origin == "scarlet_fashion, trained on fashion_mnist"
    assert from_file.origin == "scarlet_fashion, the weights in model.keras"
    assert from_file.mean == start.mean and from_file.weights.keys() == start.weights.keys()


def test_starting_point_of_a_name(tmp_path):
    assert (
        starting_point("scarlet_a").origin is None
        and starting_point("scarlet_a").weights is None
        and starting_point("scarlet_a").mean is None
    )
    spec = get_space("small").spec((3, 12, 1, 7, 11, 12))
    spec.save(tmp_path / "spec.json")
    create_model(spec, classes=7).save_weights(tmp_path / "seven.weights.h5")
    start = starting_point(tmp_path / "spec.json", weights=tmp_path / "seven.weights.h5")  # the spec says 10
    assert start.mean == (0.485, 0.456, 0.406) and start.for_classes(3).new_classifier
    with pytest.raises(ValueError, match="has its own weights"):
        starting_point(SHIPPED, weights=tmp_path / "seven.weights.h5")
    with pytest.raises(FileNotFoundError):
        starting_point("scarlet_a", weights=tmp_path / "none.weights.h5")


def test_images_are_normalised_as_asked(pictures):
    own, given = (
        open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16, **more)).arrays("test")[0]
        for more in ({}, {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.25, 1.0)})
    )
    pixels = own * np.float32([0.229, 0.224, 0.225]) + np.float32([0.485, 0.456, 0.406])
    np.testing.assert_allclose(given, (pixels - 0.5) / np.float32([0.5, 0.25, 1.0]), atol=1e-5)
    with pytest.raises(DataError, match="mean and std must be set together"):
        DataConfig(name="fashion_mnist", image_size=16, mean=(0.5, 0.5, 0.5))


def _photographs():
    try:
        files = importlib.metadata.files("foolbox")
    except importlib.metadata.PackageNotFoundError:
        return []
    return sorted(Path(file.locate()) for file in files if file.name.startswith("imagenet_"))


@pytest.mark.slow
@pytest.mark.skipif(not _photographs(), reason="needs photographs: pip install --no-deps foolbox==3.3.4")
def test_photographs(tmp_path, call_tool):
    """Twenty photographs in three classes by ImageNet's label, on the shipped network of ten classes."""
    for path in _photographs():
        label = int(path.stem.split("_")[-1])
        for split in ("train", "test"):
            folder = (
                tmp_path / "photographs" / split / ("animal" if label < 398 else "a_to_l" if label < 630 else "m_to_z")
            )
            folder.mkdir(parents=True, exist_ok=True)
            (folder / path.name).write_bytes(path.read_bytes())
    flags = ["--recipe=finetune", "--batch_size=10", "--epochs=40", "--frozen_epochs=10", "--learning_rate=0.01"]
    images = [f"--dataset=folder:{tmp_path / 'photographs'}", "--augment=none", "--image_size=64"]
    result = call_tool("train", f"--model={SHIPPED}", *images, *flags, "--output=run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("a new classifier for 3 classes")
    assert json.loads((tmp_path / "run" / "training.json").read_text())["test"]["top1"] == 1.0
