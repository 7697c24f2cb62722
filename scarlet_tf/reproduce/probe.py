"""One-shot accuracy of the same paths while their supernet is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from scarlet_tf.files import write_atomically
from scarlet_tf.supernet import PathEvaluator, Supernet


class PathProbe:
    """Measures paths every few steps, as an `after_step` of `train_supernet`; one JSON line a measurement.

    BN uses the statistics of the measured images on each path, as in training.

    Args:
        path: the file; a step that is measured again after a resume replaces what was measured before.
        genomes: (n, num_layers) ints.
        images: (N, H, W, 3) float32.
        labels: (N,) ints.
        every: steps between measurements.
    """

    def __init__(
        self, path: str | Path, *, genomes: np.ndarray, images: np.ndarray, labels: np.ndarray, every: int
    ) -> None:
        if every < 1:
            raise ValueError(f"steps between measurements must be >= 1, got {every}")
        self.path = Path(path)
        self.genomes = genomes
        self.images = images
        self.labels = labels
        self.every = every

    def __call__(self, step: int, supernet: Supernet) -> None:
        if step % self.every:
            return
        evaluator = PathEvaluator(supernet, bn="recalibrated", calibration=self.images)
        accuracies = evaluator.accuracies(self.genomes, self.images, self.labels)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] < step]
        kept.append(json.dumps({"step": step, "accuracies": accuracies.tolist()}))
        write_atomically(self.path, "".join(line + "\n" for line in kept))


def read_probe(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """What a probe wrote: steps (T,) int64 and accuracies (T, n) float64."""
    records = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return np.array([r["step"] for r in records]), np.array([r["accuracies"] for r in records], np.float64)
