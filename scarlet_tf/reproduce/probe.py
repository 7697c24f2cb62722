"""One-shot accuracy of fixed paths while their supernet is trained."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from scarlet_tf.files import write_atomically
from scarlet_tf.supernet import PathEvaluator, Supernet


class PathProbe:
    """A callback `after_step` of `train_supernet` that measures paths every few steps, one JSON line per measurement.

    BN uses the statistics of the measured images on each path, as in training.

    Args:
        path: the file, whose first line says what is measured. A step that is measured again after a resume replaces
            the earlier measurement.
        genomes: (n, num_layers) ints.
        images: (N, H, W, 3) float32.
        labels: (N,) ints.
        every: steps between measurements.

    Raises:
        ValueError: if the file holds measurements of something else, or is damaged.
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
        self._subject = {
            "paths": f"{len(genomes)} ({_digest(genomes)})",
            "images": f"{len(images)} ({_digest(images, labels)})",
            "interval": f"{every} steps",
        }
        if self.path.exists():
            self._check_same(_read(self.path)[0])

    def __call__(self, step: int, supernet: Supernet) -> None:
        if step % self.every:
            return
        evaluator = PathEvaluator(supernet, bn="recalibrated", calibration=self.images)
        accuracies = evaluator.accuracies(self.genomes, self.images, self.labels)
        measured = _read(self.path)[1] if self.path.exists() else []
        kept = [record for record in measured if record["step"] < step]
        lines = [self._subject, *kept, {"step": step, "accuracies": accuracies.tolist()}]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def _check_same(self, subject: dict) -> None:
        for what, own in self._subject.items():
            if subject[what] != own:
                raise ValueError(
                    f"{self.path} was measured with other {what}: {subject[what]}, now {own}; "
                    "expected the same or another output folder"
                )


def read_probe(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read what a probe wrote: steps (T,) int64 and accuracies (T, n) float64."""
    _, records = _read(Path(path))
    return np.array([r["step"] for r in records]), np.array([r["accuracies"] for r in records], np.float64)


def _read(path: Path) -> tuple[dict, list[dict]]:
    """Return the first line, and the others."""
    try:
        subject, *records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not subject.keys() >= {"paths", "images", "interval"} or any("accuracies" not in r for r in records):
            raise ValueError
    except (ValueError, AttributeError, TypeError):
        raise ValueError(
            f"{path} is not a record of measured paths, with a first line on what was measured: "
            "expected another output folder"
        ) from None
    return subject, records


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
