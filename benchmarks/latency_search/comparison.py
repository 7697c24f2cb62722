"""Searches under two costs, compared by what their models cost when measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.intervals import Estimate, t_interval
from benchmarks.latency_search.fronts import COSTS, INSTRUCTIONS, MADDS, Front, Searches
from benchmarks.latency_table.comparison import errors
from scarlet_tf.search import Evaluator, Models
from scarlet_tf.search.objectives import ACCURACY

_BUDGETS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredFront:
    """Models along the front of a search, with what was measured of them, (n,) each.

    Attributes:
        front: the whole front.
        models: those that were measured.
        instructions: of their files.
        test_accuracies: on images that the search did not see.
    """

    front: Front
    models: Models
    instructions: np.ndarray
    test_accuracies: np.ndarray

    def within(self, budget: float) -> float:
        """Return the test accuracy of the affordable model with the best accuracy in the search."""
        affordable = self.instructions <= budget
        return float(self.test_accuracies[np.argmax(np.where(affordable, self.models.values[ACCURACY], -1))])


def compare_searches(
    searches: Searches,
    evaluator: Evaluator,
    *,
    seeds: Sequence[int],
    most: int,
    cache: Path,
    count: Callable[[np.ndarray], np.ndarray],
    test: Callable[[np.ndarray], np.ndarray],
) -> list[MeasuredFront]:
    """Search under each cost with every seed, and measure models along the fronts.

    Args:
        searches: the searches.
        evaluator: of all searches.
        seeds: of the searches under each cost.
        most: number of models to measure along each front, at most.
        cache: folder of the archives, from which an interrupted call resumes.
        count: measures instructions, (n, num_layers) genomes -> (n,).
        test: measures accuracies on images that no search sees, alike.

    Returns:
        The fronts by seed and cost.
    """
    fronts = [searches.find_front(cost, seed, evaluator, cache=cache) for seed in seeds for cost in COSTS]
    chosen = [front.spread(most) for front in fronts]
    genomes, rows = np.unique(np.concatenate([models.genomes for models in chosen]), axis=0, return_inverse=True)
    rows = np.split(rows.ravel(), np.cumsum([len(models) for models in chosen])[:-1])
    instructions, accuracies = count(genomes), test(genomes)
    return [
        MeasuredFront(front=front, models=models, instructions=instructions[own], test_accuracies=accuracies[own])
        for front, models, own in zip(fronts, chosen, rows, strict=True)
    ]


def describe_comparison(searches: Searches, fronts: Sequence[MeasuredFront], *, most: int) -> dict:
    """Return JSON values.

    Returns:
        Settings and the table's held-out errors; "searches", one object for each front, with its models and the
        hypervolume of their test accuracies and measured instructions; "hypervolume", by cost and the paired "gain" of
        instructions; "budgets", the same for the test accuracy within some numbers of instructions; and "prediction",
        errors of the table and of multiply-adds on the measured models.
    """
    table = searches.table
    volumes = [searches.hypervolume(front.test_accuracies, front.instructions) for front in fronts]
    costs = [front.front.cost for front in fronts]
    return {
        "population": searches.population,
        "generations": searches.generations,
        "seeds": list(dict.fromkeys(front.front.seed for front in fronts)),
        "most": most,
        "table": {
            "quantize": table.quantize,
            "settings": dict(table.settings),
            "versions": dict(table.versions),
            "mean_error": table.mean_error,
            "max_error": table.max_error,
        },
        "box": list(searches.box),
        "searches": [
            {
                "cost": front.front.cost,
                "seed": front.front.seed,
                "evaluated": front.front.evaluated,
                "front": len(front.front.models),
                "hypervolume": volume,
                "models": _models(front),
            }
            for front, volume in zip(fronts, volumes, strict=True)
        ],
        "hypervolume": _compared(costs, volumes),
        "budgets": [
            {"budget": budget, **_compared(costs, [front.within(budget) for front in fronts])}
            for budget in _budgets(fronts)
        ],
        "prediction": _prediction(fronts),
    }


def _models(front: MeasuredFront) -> list[dict]:
    columns = {
        "genome": front.models.genomes,
        "search_accuracy": front.models.values[ACCURACY],
        "test_accuracy": front.test_accuracies,
        "madds": front.models.values[MADDS],
        "predicted": front.models.values[INSTRUCTIONS],
        "measured": front.instructions,
    }
    lists = {name: column.tolist() for name, column in columns.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _budgets(fronts: Sequence[MeasuredFront]) -> list[float]:
    """Return numbers of instructions, at even ratios, that leave every front a choice."""
    low = max(np.sort(front.instructions)[1] for front in fronts)
    high = min(front.instructions.max() for front in fronts)
    return np.geomspace(low, high, _BUDGETS).round().tolist()


def _compared(costs: Sequence[str], values: Sequence[float]) -> dict:
    """Return estimates over the seeds by cost, and of the paired differences between both."""
    under = {cost: np.array([v for name, v in zip(costs, values, strict=True) if name == cost]) for cost in COSTS}
    estimates = {cost: t_interval(found) for cost, found in under.items()}
    estimates["gain"] = t_interval(under[INSTRUCTIONS] - under[MADDS])
    return {name: _interval(estimate) for name, estimate in estimates.items()}


def _interval(estimate: Estimate) -> list[float | None]:
    return [estimate.value, estimate.low, estimate.high]


def _prediction(fronts: Sequence[MeasuredFront]) -> dict:
    found = {  # by genome: fronts share models
        tuple(model["genome"]): (model["predicted"], model["measured"], model["madds"])
        for front in fronts
        for model in _models(front)
    }
    predicted, measured, madds = np.array(list(found.values())).T
    scale = float(np.mean(measured / madds))
    return {
        "models": len(found),
        "table": errors(predicted, measured),
        "instructions_per_madd": scale,
        "madds": errors(scale * madds, measured),
    }
