"""Compare what searches of a supernet found with as many models drawn uniformly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.uniform import evaluate_uniform
from scarlet_tf.arch import SearchSpace
from scarlet_tf.search import Constraint, Evaluator, Objective, evaluated_models, parse_constraints, search_history
from scarlet_tf.search.objectives import (
    ACCURACY,
    DEFAULT_OBJECTIVES,
    cheap_quantities,
    cost_box,
    measure,
    scaled_costs,
)
from scarlet_tf.search.pareto import hypervolume


def compare_fronts(
    space: SearchSpace, evaluator: Evaluator, *, archives: Mapping[str, Sequence[Path]], evaluations: int, cache: Path
) -> list[dict]:
    """Compare the first `evaluations` models that each search evaluated with as many drawn uniformly.

    Models that violate the search's constraint count as evaluated, but are not part of a front.

    Args:
        archives: finished searches by arm, one for each seed 0, 1, ...
        cache: folder of the drawn models' accuracies, from which an interrupted call resumes.

    Returns:
        One object per arm and seed: "arm", "seed", "constraints", and for each of "search" and "uniform" the number of
        feasible models, their hypervolume in the box that the search measures it in, and their best accuracy.

    Raises:
        ValueError: if an archive belongs to another evaluator, or has too few models.
    """
    box = cost_box(space, DEFAULT_OBJECTIVES, cheap_quantities(space))
    rows = []
    for arm, paths in archives.items():
        for seed, path in enumerate(paths):
            definition, found = search_history(path).definition, evaluated_models(path)
            if definition["evaluator"] != evaluator.fingerprint:
                raise ValueError(f"{path}: was made with another supernet, other images or other BN settings")
            if len(found) < evaluations:
                raise ValueError(f"{path}: has {len(found)} models, expected {evaluations}: is it finished?")
            drawn, accuracies = evaluate_uniform(
                space,
                evaluator,
                path=cache / f"uniform_{evaluator.fingerprint}_seed{seed}.json",
                count=evaluations,
                seed=seed,
            )
            values = {
                "search": found.take(np.arange(evaluations)).values,
                "uniform": measure(cheap_quantities(space), drawn) | {ACCURACY: accuracies},
            }
            constraints = parse_constraints(definition["settings"]["constraints"])
            measured = {name: front_figures(v, constraints=constraints, box=box) for name, v in values.items()}
            rows.append({"arm": arm, "seed": seed, "constraints": definition["settings"]["constraints"], **measured})
    return rows


def front_figures(
    values: Mapping[str, np.ndarray],
    *,
    constraints: Sequence[Constraint],
    box: tuple[np.ndarray, np.ndarray],
    objectives: Sequence[Objective] = DEFAULT_OBJECTIVES,
) -> dict:
    """Return the figures of n models' front, given their quantities, (n,) each.

    Returns:
        "feasible", the number of feasible models, and their "hypervolume" and "best_accuracy" (None if there are none).
    """
    passed = np.logical_and.reduce(
        [np.ones(len(values[ACCURACY]), bool), *(c.satisfied(values[c.name]) for c in constraints)]
    )
    feasible = {name: column[passed] for name, column in values.items()}
    return {
        "hypervolume": hypervolume(scaled_costs(objectives, feasible, box=box), np.ones(len(objectives))),
        "feasible": int(passed.sum()),
        "best_accuracy": float(feasible[ACCURACY].max()) if passed.any() else None,
    }
