"""Accuracies by formula, whose best model is known exactly."""

from __future__ import annotations

import zlib

import numpy as np

from scarlet_tf.arch import Choice, SearchSpace

OBJECTIVES = ("separable", "epistatic")


class SyntheticAccuracy:
    """0..1, for the worst and the best model of a space: a sum over layers, an `Evaluator`.

    A layer's choice is worth half of what larger blocks are worth anywhere (0.3, and 0.3 for expansion 6, up to 0.2 for
    the kernel, 0.2 for SE; identity nothing) and half a number from U(0, 1). In an "epistatic" one each pair of choices
    of neighbouring layers adds another one from U(0, 1), twice the spread of a choice's own. Best and worst come from
    dynamic programming along the layers, which is exact for a chain.
    """

    def __init__(self, space: SearchSpace, objective: str):
        rng = np.random.default_rng(zlib.crc32(objective.encode()))
        (table,), layers = space.choices, space.num_layers  # of one table for all layers
        choices = len(table)
        self.fingerprint = f"synthetic-{objective}"
        self.own = 0.5 * np.array([_size(choice) for choice in table]) + 0.5 * rng.random((layers, choices))
        self.pairs = float(objective == "epistatic") * rng.random((layers - 1, choices, choices))
        self.best = self._extreme(1)
        self.worst = self._extreme(-1)
        self._low, self._high = self._sums(np.stack([self.worst, self.best]))

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        scaled = (self._sums(genomes) - self._low) / (self._high - self._low)
        return np.clip(scaled, 0.0, 1.0)  # the best one may come out a rounding error beyond 1

    def _sums(self, genomes: np.ndarray) -> np.ndarray:
        layers = np.arange(genomes.shape[1])
        own = self.own[layers, genomes].sum(axis=1)
        return own + self.pairs[layers[:-1], genomes[:, :-1], genomes[:, 1:]].sum(axis=1)

    def _extreme(self, sign: int) -> np.ndarray:
        """(num_layers,) the genome of the largest sum, or with sign -1 of the smallest."""
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
