"""Define synthetic accuracies, formulas whose best model is known exactly."""

from __future__ import annotations

import zlib

import numpy as np

from scarlet_tf.arch import Choice, SearchSpace

OBJECTIVES = ("separable", "epistatic")


class SyntheticAccuracy:
    """An `Evaluator` whose accuracy is a sum over layers, 0 for the worst model of a space and 1 for the best.

    A choice in a layer is worth half the value of its block, plus half a random number from U(0, 1). The value of a
    block grows with its size: 0.3, plus 0.3 for expansion ratio 6, up to 0.2 for the kernel, and 0.2 for
    squeeze-and-excite; an identity is worth 0. With the objective "epistatic", each pair of choices in neighbouring
    layers adds another number from U(0, 1), twice the spread of a choice's own. Best and worst are found by dynamic
    programming along the layers, which is exact for a chain.
    """

    def __init__(self, space: SearchSpace, objective: str):
        rng = np.random.default_rng(zlib.crc32(objective.encode()))
        (table,), layers = space.choices, space.num_layers  # all layers share one table
        choices = len(table)
        self.fingerprint = f"synthetic-{objective}"
        self.own = 0.5 * np.array([_size(choice) for choice in table]) + 0.5 * rng.random((layers, choices))
        self.pairs = float(objective == "epistatic") * rng.random((layers - 1, choices, choices))
        self.best = self._extreme(1)
        self.worst = self._extreme(-1)
        self._low, self._high = self._sums(np.stack([self.worst, self.best]))

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        scaled = (self._sums(genomes) - self._low) / (self._high - self._low)
        return np.clip(scaled, 0.0, 1.0)  # rounding may lift the best model just above 1

    def _sums(self, genomes: np.ndarray) -> np.ndarray:
        layers = np.arange(genomes.shape[1])
        own = self.own[layers, genomes].sum(axis=1)
        return own + self.pairs[layers[:-1], genomes[:, :-1], genomes[:, 1:]].sum(axis=1)

    def _extreme(self, sign: int) -> np.ndarray:
        """Return the genome (num_layers,) with the largest sum, or with sign -1 the smallest."""
        value, came_from = sign * self.own[0], []
        for own, pairs in zip(self.own[1:], self.pairs, strict=True):
            totals = value[:, None] + sign * pairs
            came_from.append(totals.argmax(axis=0))
            value = totals.max(axis=0) + sign * own
        genome = [int(value.argmax())]
        for back in reversed(came_from):
            genome.append(int(back[genome[-1]]))
        return np.array(genome[::-1], np.int64)


def _size(choice: Choice) -> float:
    if choice.is_identity:
        return 0.0
    return 0.3 + 0.3 * (choice.expansion == 6) + 0.05 * (choice.kernel_size - 3) + 0.2 * choice.se
