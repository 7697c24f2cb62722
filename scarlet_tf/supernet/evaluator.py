"""One-shot accuracy for the search: a `scarlet_tf.search.Evaluator` on held-out images."""

from __future__ import annotations

import dataclasses

import numpy as np

from scarlet_tf.data import open_dataset
from scarlet_tf.supernet.paths import PathEvaluator
from scarlet_tf.supernet.trainer import TrainedSupernet
from scarlet_tf.training.checkpoints import fingerprint


class SupernetEvaluator:
    """Accuracy of genomes with inherited weights, on images held out from the training set (never the test set).

    Args:
        trained: the supernet and its config, whose data settings are used.
        bn: "moving" or "recalibrated".
        images: how many held-out images to use; None: all.
        calibration_images: training images for recalibration, taken without augmentation.
        data_dir: where the data set lies; None: the default.
    """

    def __init__(
        self,
        trained: TrainedSupernet,
        *,
        bn: str = "recalibrated",
        images: int | None = None,
        calibration_images: int = 256,
        data_dir: str | None = None,
    ) -> None:
        if calibration_images < 1:
            raise ValueError(f"calibration_images must be >= 1, got {calibration_images}")
        data = open_dataset(dataclasses.replace(trained.config.data, augment="none", data_dir=data_dir))
        self.images, self.labels = data.arrays("search_validation", limit=images)
        self.calibration, _ = data.arrays("train", limit=calibration_images)
        self._paths = PathEvaluator(trained.supernet, bn=bn, calibration=self.calibration)
        used = [trained.fingerprint, data.fingerprint, bn, len(self.labels)]
        self.fingerprint = fingerprint(used + [calibration_images] * (bn == "recalibrated"))

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        """(n, num_layers) ints -> (n,) float64 top-1 accuracies in [0, 1]."""
        return self._paths.accuracies(genomes, self.images, self.labels)
