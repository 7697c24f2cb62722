"""What a search hands out and keeps: models, populations, and generations in numbers."""

from __future__ import annotations

import dataclasses

import numpy as np

from scarlet_tf.search.constrained import KNOWN


@dataclasses.dataclass(frozen=True, kw_only=True)
class Models:
    """Evaluated models; every array has n rows."""

    ids: np.ndarray  # (n,) int64, in order of evaluation
    genomes: np.ndarray  # (n, num_layers) int64
    values: dict[str, np.ndarray]  # (n,) float64 accuracy in [0, 1], int64 madds and params, float64 others

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Models:
        """The models at these positions (or under this mask)."""
        values = {name: column[rows] for name, column in self.values.items()}
        return Models(ids=self.ids[rows], genomes=self.genomes[rows], values=values)

    def joined(self, other: Models) -> Models:
        """These models, then the other ones."""
        values = {name: np.concatenate([column, other.values[name]]) for name, column in self.values.items()}
        return Models(
            ids=np.concatenate([self.ids, other.ids]),
            genomes=np.concatenate([self.genomes, other.genomes]),
            values=values,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where the evaluated models come from, in order of evaluation; every array has n rows."""

    mothers: np.ndarray  # (n,) int64 ids, -1 for models drawn without parents
    fathers: np.ndarray  # (n,) int64 ids, as `mothers`
    operators: tuple[str, ...]  # n names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Members:
    """A population of one generation."""

    models: Models
    ranks: np.ndarray  # (n,) int64, 0 for the front
    crowding: np.ndarray  # (n,) float64 weighted crowding distance

    @property
    def front(self) -> Models:
        return self.models.take(self.ranks == 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """One generation in numbers.

    Attributes:
        hypervolume: of the population, in the unit box of `objectives.cost_box`, 0..1.
        identity_share: identity genes among all genes of the population, 0..1 (paper: Fig. 6 bottom).
        front_size: members of rank 0.
        evaluated, feasible: models evaluated in this generation, and those of them that satisfy every constraint.
        proposed: genomes drawn.
        rejected: of these, by reason: a constraint such as "madds<500000000", or "already evaluated".
        best_accuracy: of the population.
        survivors: this generation's models that are in its population, by operator; empty in older archives.
        seconds, evaluation_seconds: wall clock of the generation without the write, and the evaluator's part of it.
    """

    generation: int
    hypervolume: float
    identity_share: float
    front_size: int
    evaluated: int
    feasible: int
    proposed: int
    rejected: dict[str, int]
    best_accuracy: float
    seconds: float
    evaluation_seconds: float
    survivors: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def saved_evaluations(self) -> int:
        """Evaluations that cheap constraints, checked first, have saved; genomes known already are not counted."""
        return self.proposed - self.evaluated - self.rejected.get(KNOWN, 0)
