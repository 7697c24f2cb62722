"""Train the networks of one seed: two by this project's recipes, then the baseline for the same time."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import keras
import numpy as np

from scarlet_tf.arch import count, scale
from scarlet_tf.data import DataConfig, ImageData, open_dataset
from scarlet_tf.files import write_atomically
from scarlet_tf.training.config import TrainConfig, train_config
from scarlet_tf.training.trainer import train
from scarlet_tf.zoo import StartingPoint, resolve_spec, starting_point

SIDE = 96  # pixels
_PREDICTED = 64  # images at a time
_SHIPPED = Path(__file__).resolve().parents[2] / "zoo" / "weights" / "scarlet_fashion"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One of our trainings: a network, with or without trained weights, and a recipe."""

    description: str
    start: StartingPoint
    config: TrainConfig


def default_arms() -> dict[str, Arm]:
    """Return the two arms of this project, by name.

    Their settings were chosen on held-out fifths of the training images; see the page's remarks.
    """
    common = {"augment": "flips", "class_weight": "balanced", "batch_size": 32}
    return {
        "finetuned": Arm(
            description="scarlet_fashion, fine-tuned",
            start=starting_point(_SHIPPED),
            config=train_config("small", epochs=17, learning_rate=0.4, **common),
        ),
        "scratch": Arm(
            description="scarlet_a of width 0.35 and depth 0.5, from scratch",
            start=StartingPoint(spec=scale(resolve_spec("scarlet_a"), width=0.35, depth=0.5)),
            config=train_config(
                "finetune",
                epochs=24,
                frozen_epochs=0,
                zero_gamma=True,
                learning_rate=12e-3,
                warmup_epochs=1.5,
                label_smoothing=0.1,
                ema=0.99,
                dropout=0.0,
                measured_images=0,
                **common,
            ),
        ),
    }


def build_network(side: int, classes: int) -> keras.Model:
    """Return MobileNetV3Small, minimalistic, with random weights and a batch normalisation momentum of 0.9.

    With Keras's default of 0.999, the moving statistics are useless after a few hundred steps.
    """
    network = keras.applications.MobileNetV3Small(
        (side, side, 3), minimalistic=True, weights=None, classes=classes, include_preprocessing=False
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return network


def train_baseline(data: ImageData, *, seed: int, seconds: float, batch_size: int = 32) -> dict:
    """Train `build_network` for whole epochs until `seconds` have passed, with flips, class weights and Adam.

    The clock covers everything that `fit` does, and stops during the evaluation on test images.

    Returns:
        "seconds", "epochs", "steps", "params", and "confusion" on test images, one matrix per epoch, with a row per
        true class and a column per predicted class.
    """
    keras.utils.set_random_seed(seed)
    images, labels = data.arrays("train")
    counts = np.bincount(labels)
    side = data.config.image_size
    network = build_network(side, len(counts))
    model = keras.Sequential([keras.Input((side, side, 3)), keras.layers.RandomFlip(), network])
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)  # XLA is no faster on a CPU
    weights = dict(enumerate(len(labels) / (len(counts) * counts)))
    unseen, truth = data.arrays("test")
    confusion = []
    spent, epochs = 0.0, 0
    while spent < seconds:
        started = time.monotonic()
        model.fit(images, labels, batch_size=batch_size, class_weight=weights, verbose=0)
        spent += time.monotonic() - started
        epochs += 1
        guess = model.predict(unseen, batch_size=_PREDICTED, verbose=0).argmax(axis=1)
        confusion.append(count_confusion(truth, guess, classes=len(counts)).tolist())
    steps = epochs * -(-len(labels) // batch_size)
    params = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return {"seconds": spent, "epochs": epochs, "steps": steps, "params": params, "confusion": confusion}


def count_confusion(truth: np.ndarray, guess: np.ndarray, *, classes: int) -> np.ndarray:
    """Return the int64 (classes, classes) confusion matrix, with true classes as rows and predicted ones as columns."""
    return np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes)


def train_seed(images: Path, runs: Path, arms: dict[str, Arm], *, seed: int, side: int = SIDE) -> dict:
    """Train every arm and the baseline with a seed, or read the results of an earlier call from `runs`.

    The baseline comes last and trains for at least as long as the slower of our trainings. All clocks include
    TensorFlow's tracing, but no evaluation.

    Returns:
        "seed", and for each arm and "baseline" the record that `summarize` and `make_page` read.
    """
    found = {
        name: train_arm(images, runs / f"{name}_seed{seed}", arm, seed=seed, side=side) for name, arm in arms.items()
    }
    record = runs / f"baseline_seed{seed}.json"
    if not record.is_file():
        seconds = max(run["seconds"] for run in found.values())
        data = open_images(images, side=side)
        write_atomically(record, json.dumps(train_baseline(data, seed=seed, seconds=seconds)) + "\n")
    return {"seed": seed, **found, "baseline": json.loads(record.read_text())}


def train_arm(images: Path, output: Path, arm: Arm, *, seed: int, side: int = SIDE) -> dict:
    """Train one of our arms, or read the result if `output` already holds it."""
    data = open_images(images, side=side, augment=arm.config.augment, start=arm.start)
    start = arm.start.at_resolution(side).for_classes(data.num_classes)
    config = dataclasses.replace(arm.config, seed=seed)
    result = train(start.spec, data, config, output=output, weights=start.weights, origin=start.origin)
    return {
        "config": result["config"],
        "params": count(start.spec).params,
        "steps": result["steps"],
        "epochs": result["steps"] / (data.num_examples["train"] // config.batch_size),
        "seconds": result["seconds"],
        "confusion": result["test"]["confusion"],
    }


def open_images(images: Path, *, side: int, augment: str = "none", start: StartingPoint | None = None) -> ImageData:
    """Open the image folder; if `start` is given, normalise images with the mean and std of its training."""
    statistics = {"mean": start.mean, "std": start.std} if start else {}
    name = f"folder:{images}"
    return open_dataset(DataConfig(name=name, image_size=side, augment=augment, **statistics))
