"""Test accuracy of a trained network after its batch normalisation statistics were measured on training images."""

from __future__ import annotations

from pathlib import Path

from scarlet_tf.data import ImageData
from scarlet_tf.training.evaluation import evaluate
from scarlet_tf.training.trainer import measure_statistics
from scarlet_tf.zoo import open_model


def accuracy_by_measured(data: ImageData, folder: Path) -> float:
    """Return the top-1 on test images of the network in a folder of train.py, with statistics of training images."""
    model = open_model(folder).model
    measure_statistics(model, data)
    return evaluate(model, data, "test").top1
