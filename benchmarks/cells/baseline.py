"""Train the plain Keras baseline that this project's recipes are compared with."""

from __future__ import annotations

import time

import keras
import numpy as np

from scarlet_tf.data import ImageData

_PREDICTED = 64  # images at a time


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
