"""The searches under each cost, and the models of their fronts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from scarlet_tf.arch.cost_table import CostTable
from scarlet_tf.search import Evaluator, Models, SearchConfig, evaluated_models, parse_objectives
from scarlet_tf.search.objectives import ACCURACY, cost_box, costs, scaled_costs
from scarlet_tf.search.pareto import hypervolume, non_dominated_ranks
from scarlet_tf.search.run import ARCHIVE, search_into

MADDS, INSTRUCTIONS = "madds", "instructions"
COSTS = (MADDS, INSTRUCTIONS)
_KNOWN = (ACCURACY, *COSTS)
_OBJECTIVES = {name: parse_objectives(f"accuracy:max:0.5,{name}:min:0.5", known=_KNOWN) for name in COSTS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Front:
    """The front of a search over its own two objectives.

    Attributes:
        cost: of the search, one of COSTS.
        seed: of the search.
        evaluated: number of models that the search evaluated.
        models: of the front, from the cheapest to the most expensive.
    """

    cost: str
    seed: int
    evaluated: int
    models: Models

    def spread(self, most: int) -> Models:
        """Return at most this many models, at even distances along the front, both ends included."""
        count = min(most, len(self.models))
        return self.models.take(np.linspace(0, len(self.models) - 1, count).round().astype(int))


class Searches:
    """Searches for a high accuracy and a low cost, of equal weight, without constraints.

    Args:
        table: predicts the instructions of the networks of its space.
        population, generations: of every search.
    """

    def __init__(self, table: CostTable, *, population: int, generations: int) -> None:
        self.table, self.population, self.generations = table, population, generations
        self._cheap = {INSTRUCTIONS: table.quantity()}
        self._box = cost_box(table.space, _OBJECTIVES[INSTRUCTIONS], self._cheap)

    @property
    def box(self) -> tuple[float, float]:
        """The fewest and the most instructions between which hypervolume is measured."""
        (_, low), (_, high) = self._box
        return float(low), float(high)

    def find_front(self, cost: str, seed: int, evaluator: Evaluator, *, cache: Path) -> Front:
        """Search, or resume the search that the cache holds, and return its front."""
        config = SearchConfig(
            population=self.population,
            generations=self.generations,
            objectives=_OBJECTIVES[cost],
            constraints=(),
            seed=seed,
        )
        table = hashlib.sha256(json.dumps(self.table.to_dict()).encode()).hexdigest()[:12]
        name = f"{cost}_seed{seed}_{self.population}x{self.generations}_{evaluator.fingerprint[:12]}_{table}"
        search_into(cache / name, self.table.space, config, evaluator, cheap=self._cheap)
        models = evaluated_models(cache / name / ARCHIVE)
        best = models.take(non_dominated_ranks(costs(_OBJECTIVES[cost], models.values)) == 0)
        return Front(
            cost=cost,
            seed=seed,
            evaluated=len(models),
            models=best.take(np.argsort(best.values[cost], kind="stable")),
        )

    def hypervolume(self, accuracies: np.ndarray, instructions: np.ndarray) -> float:
        """Return the hypervolume of models, (n,) each, with accuracy 0..1 and instructions in `box`, as a unit box."""
        values = {ACCURACY: accuracies, INSTRUCTIONS: instructions}
        return float(hypervolume(scaled_costs(_OBJECTIVES[INSTRUCTIONS], values, box=self._box), np.ones(2)))
