"""The evaluator protocol, through which a search gets accuracies."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Evaluator(Protocol):
    """Protocol of objects that predict the accuracy of models.

    Attributes:
        fingerprint: identifies the weights, data and settings behind the accuracies; archives of evaluators with
            another fingerprint are rejected.
    """

    fingerprint: str

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        """Return accuracies: (n, num_layers) int64 -> (n,) float64 in [0, 1]; must be deterministic."""
        ...


def evaluate_checked(evaluator: Evaluator, genomes: np.ndarray) -> np.ndarray:
    """Return the evaluator's accuracies, (n,) float64; raise ValueError unless they are n numbers in [0, 1]."""
    accuracy = np.asarray(evaluator.evaluate(genomes), np.float64)
    if accuracy.shape != (len(genomes),):
        raise ValueError(f"the evaluator must return {len(genomes)} accuracies, got shape {accuracy.shape}")
    if not ((accuracy >= 0) & (accuracy <= 1)).all():
        bad = int(np.flatnonzero(~((accuracy >= 0) & (accuracy <= 1)))[0])
        genome = ",".join(map(str, genomes[bad]))
        raise ValueError(f"the evaluator must return accuracies in [0, 1], got {accuracy[bad]} for genome {genome}")
    return accuracy
