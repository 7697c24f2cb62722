"""The evaluator protocol, through which a search gets accuracies, and their recording."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from scarlet_tf.search.archive import Archive
from scarlet_tf.search.operators import genome_key


class Evaluator(Protocol):
    """Protocol of objects that predict the accuracy of models.

    An evaluator may also have `settings`, see `search_into`, and a method `portions(genomes)`, which returns arrays of
    row numbers that together have each row once. A search then calls `evaluate` for one portion after another, and a
    search that is killed loses no finished portion.

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


def evaluate_and_record(evaluator: Evaluator, genomes: np.ndarray, *, archive: Archive) -> np.ndarray:
    """Return the accuracies of genomes, (n,) float64; evaluate only those without a result in the archive.

    The accuracies of every portion are written to the archive as soon as the evaluator has returned them.

    Args:
        evaluator: predicts accuracy.
        genomes: (n, num_layers) int64.
        archive: the archive of the search.

    Raises:
        ValueError: as `evaluate_checked`.
        ArchiveError: if the archive cannot be written.
    """
    results = archive.results()
    accuracy = np.array([results.get(genome_key(genome), np.nan) for genome in genomes])
    missing = np.flatnonzero(np.isnan(accuracy))
    for rows in _portions(evaluator, genomes[missing]):
        part = missing[rows]
        accuracy[part] = evaluate_checked(evaluator, genomes[part])
        archive.record(genomes[part], accuracy[part])
    return accuracy


def _portions(evaluator: Evaluator, genomes: np.ndarray) -> list[np.ndarray]:
    """Return the row numbers of each portion; all genomes are one if the evaluator does not divide them."""
    if not len(genomes):
        return []
    divide = getattr(evaluator, "portions", lambda genomes: [np.arange(len(genomes))])
    return [rows for rows in divide(genomes) if len(rows)]
