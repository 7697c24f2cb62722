"""How a search asks for accuracy: all that it knows of a supernet."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Evaluator(Protocol):
    """Predicts the accuracy of models.

    Attributes:
        fingerprint: names the weights, data and settings behind the numbers; an archive of another one is refused.
    """

    fingerprint: str

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        """(n, num_layers) int64 -> (n,) float64 accuracy in [0, 1]; the same genome always gives the same number."""
        ...


def evaluate_checked(evaluator: Evaluator, genomes: np.ndarray) -> np.ndarray:
    """The evaluator's answer, (n,) float64; ValueError unless it is n numbers in [0, 1]."""
    accuracy = np.asarray(evaluator.evaluate(genomes), np.float64)
    if accuracy.shape != (len(genomes),):
        raise ValueError(f"the evaluator must give {len(genomes)} accuracies, got shape {accuracy.shape}")
    if not ((accuracy >= 0) & (accuracy <= 1)).all():
        bad = int(np.flatnonzero(~((accuracy >= 0) & (accuracy <= 1)))[0])
        genome = ",".join(map(str, genomes[bad]))
        raise ValueError(f"the evaluator must give accuracies in [0, 1], got {accuracy[bad]} for genome {genome}")
    return accuracy
