"""One-shot accuracy for the search: a `scarlet_tf.search.Evaluator` on held-out images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from scarlet_tf.data import open_dataset
from scarlet_tf.runs.checkpoints import fingerprint
from scarlet_tf.runs.workers import Workers
from scarlet_tf.supernet.paths import PathEvaluator
from scarlet_tf.supernet.supernet_trainer import TrainedSupernet


class SupernetEvaluator:
    """Accuracy of genomes with inherited weights, on images held out from the training set (never the test set).

    The genomes of a call are shared out among the replicas of the strategy, neighbours in lexicographic order staying
    together, as they have most in common. Sharing out images instead would make every replica recalibrate every model;
    and this way a model's accuracy does not depend on the strategy.

    With several workers one searches, and the others evaluate: the chief calls `evaluate`, and at the end `close`; the
    others call `serve`.

    The images are read anew for every call, each batch once for all of its genomes: 50,000 of 224x224 pixels would
    take 30 GB.

    Args:
        trained: the supernet and its config, whose data settings are used.
        bn: "moving" or "recalibrated".
        images: how many held-out images to use; None: all.
        calibration_images: training images for recalibration, taken without augmentation.
        data_dir: where the data set lies; None: the default.
        skip_damaged: leave out images that do not decode, as is done anyhow where the training did.
        strategy: None: one device.

    Attributes:
        settings: what decides the accuracies, by name.
        fingerprint: of the settings.
    """

    def __init__(
        self,
        trained: TrainedSupernet,
        *,
        bn: str = "recalibrated",
        images: int | None = None,
        calibration_images: int = 256,
        data_dir: str | None = None,
        skip_damaged: bool = False,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        if calibration_images < 1:
            raise ValueError(f"calibration_images must be >= 1, got {calibration_images}")
        config = trained.config.data
        skip_damaged = skip_damaged or config.skip_damaged
        config = dataclasses.replace(config, augment="none", data_dir=data_dir, skip_damaged=skip_damaged)
        data = open_dataset(config, splits=["train", "search_validation"])
        held_out = data.num_examples["search_validation"]
        self.num_images = held_out if images is None else min(images, held_out)
        self.calibration, _ = data.arrays("train", limit=calibration_images)
        self.settings = {
            "supernet": trained.fingerprint,
            "data": data.fingerprint,
            "bn": bn,
            "images": self.num_images,
            "calibration_images": len(self.calibration) if bn == "recalibrated" else None,
        }
        used = [trained.fingerprint, data.fingerprint, bn, self.num_images]
        if bn == "recalibrated":
            used.append(len(self.calibration))
        self.fingerprint = fingerprint(used)
        self._num_layers = trained.space.num_layers
        self._workers = Workers(strategy, name=self.fingerprint)
        self._replicas = []  # a device and its evaluator each; None: wherever TensorFlow puts it
        for device in strategy.extended.worker_devices if strategy else (None,):
            with tf.device(device):
                paths = PathEvaluator(trained.supernet, bn=bn, calibration=self.calibration)
            self._replicas.append((device, paths))
        self._batches = data.eval_batches("search_validation", paths.chunk, limit=images)

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        """(n, num_layers) ints -> (n,) float64 top-1 accuracies in [0, 1]."""
        return self._evaluate_together(self._workers.tell(np.asarray(genomes)))

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The held-out images and labels, (b, H, W, 3) float32 and (b,) ints, as they are evaluated."""
        return self._batches.as_numpy_iterator()

    def serve(self) -> None:
        """Evaluates this worker's share of all that the chief asks for, until the chief closes its evaluator."""
        while len(genomes := self._workers.hear(self._num_layers)):
            self._evaluate_together(genomes)

    def close(self) -> None:
        """Lets the other workers, if there are any, end."""
        self._workers.tell(np.empty((0, self._num_layers), np.int64))

    def _evaluate_together(self, genomes: np.ndarray) -> np.ndarray:
        order = np.lexsort(genomes.T[::-1])
        shares = np.array_split(order, self._workers.count * len(self._replicas))
        mine = shares[self._workers.index * len(self._replicas) :][: len(self._replicas)]
        accuracies = np.zeros(len(genomes))

        def evaluate_share(replica: tuple[str | None, PathEvaluator], rows: np.ndarray) -> None:
            device, paths = replica
            if rows.size:
                with tf.device(device):
                    accuracies[rows] = paths.correct_answers(genomes[rows], self.batches()) / self.num_images

        with ThreadPoolExecutor(len(self._replicas)) as pool:  # TensorFlow lets go of Python's lock while it computes
            list(pool.map(evaluate_share, self._replicas, mine))
        return self._workers.add(accuracies)
