"""Records of a search: evaluated models, their lineage, populations, and summaries of generations."""

from __future__ import annotations

import dataclasses

import numpy as np

from scarlet_tf.search.constrained import KNOWN


@dataclasses.dataclass(frozen=True, kw_only=True)
class Models:
    """Evaluated models; arrays have n rows."""

    ids: np.ndarray  # (n,) int64, in order of evaluation
    genomes: np.ndarray  # (n, num_layers) int64
    values: dict[str, np.ndarray]  # (n,) float64 accuracy in [0, 1], int64 madds and params, float64 others

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Models:
        """Return the models at these positions, or under this mask."""
        values = {name: column[rows] for name, column in self.values.items()}
        return Models(ids=self.ids[rows], genomes=self.genomes[rows], values=values)

    def joined(self, other: Models) -> Models:
        """Return these models followed by the other ones."""
        values = {name: np.concatenate([column, other.values[name]]) for name, column in self.values.items()}
        return Models(
            ids=np.concatenate([self.ids, other.ids]),
            genomes=np.concatenate([self.genomes, other.genomes]),
            values=values,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lineage:
    """Parents and operators of evaluated models, in order of evaluation; arrays have n rows."""

    mothers: np.ndarray  # (n,) int64 ids, -1 for models drawn without parents
    fathers: np.ndarray  # (n,) int64 ids, as `mothers`
    operators: tuple[str, ...]  # n names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Members:
    """The population of a generation."""

    models: Models
    ranks: np.ndarray  # (n,) int64, 0 for the front
    crowding: np.ndarray  # (n,) float64 weighted crowding distance

    @property
    def front(self) -> Models:
        return self.models.take(self.ranks == 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """Statistics of a generation.

    Attributes:
        generation: its number.
        hypervolume: of the population, in the unit box of `objectives.cost_box`, 0..1.
        identity_share: share of identity genes in the population, 0..1 (paper: Fig. 6 bottom).
        front_size: number of members of rank 0.
        evaluated: number of models evaluated in this generation.
        feasible: number of these that satisfy every constraint.
        proposed: number of genomes drawn.
        rejected: number of rejections by reason: a constraint such as "madds<500000000", or "already evaluated".
        best_accuracy: of the population.
        survivors: number of this generation's models in its population, by operator; empty in older archives.
        seconds: wall-clock time of the generation, without writing it.
        evaluation_seconds: part of `seconds` spent in the evaluator.
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
        """Number of evaluations that cheap constraints saved by being checked first, not counting known genomes."""
        return self.proposed - self.evaluated - self.rejected.get(KNOWN, 0)
