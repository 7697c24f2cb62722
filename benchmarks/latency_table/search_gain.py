"""What a cost table buys: searches under instructions and under multiply-adds, compared over instructions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.intervals import t_interval
from benchmarks.search.methods import SyntheticAccuracy
from scarlet_tf.arch.cost_table import CostTable
from scarlet_tf.progress import progress
from scarlet_tf.search import Search, SearchConfig, parse_objectives
from scarlet_tf.search.objectives import ACCURACY, cost_box, measure, scaled_costs
from scarlet_tf.search.pareto import hypervolume

ACCURACIES = ("separable", "epistatic")
_COST = "instructions"
_KNOWN = (ACCURACY, "madds", _COST)
_OBJECTIVES = {name: parse_objectives(f"accuracy:max:0.5,{name}:min:0.5", known=_KNOWN) for name in ("madds", _COST)}


def search_gain(table: CostTable, *, seeds: Sequence[int], population: int, generations: int) -> dict:
    """Search with synthetic accuracies under multiply-adds and under a table's instructions, with the same seeds.

    Args:
        table: of the space to search.
        seeds: of the searches.
        population, generations: of every search.

    Returns:
        JSON values: format and held-out error of the table, and by kind of synthetic accuracy the hypervolume of each
        search's final population over accuracy and the table's instructions, in the unit box of `cost_box`, with the
        interval of their paired difference.
    """
    cheap = {_COST: table.quantity()}
    box = cost_box(table.space, _OBJECTIVES[_COST], cheap)
    runs = [(kind, cost, seed) for kind in ACCURACIES for cost in _OBJECTIVES for seed in seeds]
    volumes: dict[tuple[str, str], list[float]] = {}
    for kind, cost, seed in progress(runs, "search", unit="run"):
        config = SearchConfig(
            population=population, generations=generations, objectives=_OBJECTIVES[cost], constraints=(), seed=seed
        )
        evaluator = SyntheticAccuracy(table.space, kind)
        genomes = Search(table.space, config, cheap=cheap).run(evaluator).final.models.genomes
        values = measure(cheap, genomes) | {ACCURACY: evaluator.evaluate(genomes)}
        scaled = scaled_costs(_OBJECTIVES[_COST], values, box=box)
        volumes.setdefault((kind, cost), []).append(float(hypervolume(scaled, np.ones(2))))
    return {
        "quantize": table.quantize,
        "table_held_out": {"mean_error": table.mean_error, "max_error": table.max_error},
        "population": population,
        "generations": generations,
        "seeds": list(seeds),
        "accuracies": {kind: _compared(volumes[kind, "madds"], volumes[kind, _COST]) for kind in ACCURACIES},
    }


def _compared(under_madds: Sequence[float], under_instructions: Sequence[float]) -> dict:
    gain = t_interval(np.subtract(under_instructions, under_madds))
    return {
        "under_madds": list(under_madds),
        "under_instructions": list(under_instructions),
        "gain": [gain.value, gain.low, gain.high],
    }
