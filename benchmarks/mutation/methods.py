"""Search a synthetic objective once with one method, and measure how good its models are."""

from __future__ import annotations

import numpy as np

from mutation.accuracy import SyntheticAccuracy
from scarlet_tf.arch import SearchSpace
from scarlet_tf.search import DEFAULT_OBJECTIVES, MutationMixture, Search, SearchConfig
from scarlet_tf.search.objectives import ACCURACY, cheap_quantities, cost_box, measure, scaled_costs
from scarlet_tf.search.pareto import hypervolume, non_dominated_ranks

MIXTURES = {
    "mixture": MutationMixture(),
    "random": MutationMixture(random=1.0, reinforced=0.0, roulette=0.0),
    "roulette": MutationMixture(random=0.0, reinforced=0.0, roulette=1.0),
}
PYMOO = ("pymoo_point", "pymoo_sbx")
METHODS = (*MIXTURES, *PYMOO)


class Recorder:
    """An `Evaluator` that records the genomes it evaluates."""

    def __init__(self, accuracy: SyntheticAccuracy):
        self.fingerprint, self.accuracy = accuracy.fingerprint, accuracy
        self.batches: list[np.ndarray] = []

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        self.batches.append(genomes)
        return self.accuracy.evaluate(genomes)


def run_method(
    space: SearchSpace, objective: str, method: str, *, seed: int, population: int, evaluations: int
) -> dict:
    """Run one search, without constraints, which each method handles differently.

    Returns:
        hypervolume: of the final population, in the unit box of `cost_box`; hypervolume_all: of all evaluated models;
        best_accuracy: among all evaluated models, 1 for the known optimum; evaluations; and objective, method and seed.
    """
    recorder = Recorder(SyntheticAccuracy(space, objective))
    if method in MIXTURES:
        # Generation 0 evaluates twice the population.
        config = SearchConfig(
            population=population,
            generations=evaluations // population - 2,
            constraints=(),
            seed=seed,
            mixture=MIXTURES[method],
        )
        final = Search(space, config).run(recorder).final.models.genomes
    else:
        final = _pymoo(space, recorder, method, seed=seed, population=population, generations=evaluations // population)
    seen = np.concatenate(recorder.batches)
    scaled = _scaled_costs(space, recorder.accuracy, seen)
    return {
        "objective": objective,
        "method": method,
        "seed": seed,
        "evaluations": len(seen),
        "hypervolume": hypervolume(_scaled_costs(space, recorder.accuracy, final), np.ones(scaled.shape[1])),
        "hypervolume_all": hypervolume(_front(scaled), np.ones(scaled.shape[1])),
        "best_accuracy": float(recorder.accuracy.evaluate(seen).max()),
    }


def _scaled_costs(space: SearchSpace, accuracy: SyntheticAccuracy, genomes: np.ndarray) -> np.ndarray:
    """Return the costs (n, 3) of genomes (n, L), scaled to 0..1 in the box."""
    cheap = cheap_quantities(space)
    values = measure(cheap, genomes) | {ACCURACY: accuracy.evaluate(genomes)}
    return scaled_costs(DEFAULT_OBJECTIVES, values, box=cost_box(space, DEFAULT_OBJECTIVES, cheap))


def _front(scaled: np.ndarray) -> np.ndarray:
    """Return the non-dominated rows, in chunks: memory for dominance grows with the square of the number of rows."""
    front = scaled[:0]
    for start in range(0, len(scaled), 500):
        candidates = np.concatenate([front, scaled[start : start + 500]])
        front = candidates[non_dominated_ranks(candidates) == 0]
    return front


def _pymoo(
    space: SearchSpace, recorder: Recorder, method: str, *, seed: int, population: int, generations: int
) -> np.ndarray:
    """Run pymoo's NSGA-II on integer genes, and return the final population (n, L).

    "pymoo_point" uses this project's crossover, and changes each gene to another value with probability 1/L.
    "pymoo_sbx" uses pymoo's default operators for real numbers, rounded.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.mutation import Mutation
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.pntx import SinglePointCrossover
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    class Models(Problem):
        def __init__(self):
            super().__init__(n_var=space.num_layers, n_obj=3, xl=0, xu=np.array(space.num_choices) - 1, vtype=int)

        def _evaluate(self, genomes, out, *_, **__):
            genomes = np.asarray(genomes).astype(np.int64)
            recorder.evaluate(genomes)
            out["F"] = _scaled_costs(space, recorder.accuracy, genomes)

    class AnotherChoice(Mutation):
        def _do(self, problem, genomes, *_, random_state, **__):
            changed = random_state.random(genomes.shape) < 1 / problem.n_var
            choices = np.array(space.num_choices)
            shifts = random_state.integers(1, choices, genomes.shape)
            return np.where(changed, (genomes + shifts) % choices, genomes)

    if method == "pymoo_point":
        operators = {"crossover": SinglePointCrossover(), "mutation": AnotherChoice()}
    else:
        rounded = {"vtype": float, "repair": RoundingRepair()}
        operators = {"crossover": SBX(prob=0.9, eta=15, **rounded), "mutation": PM(eta=20, **rounded)}
    algorithm = NSGA2(pop_size=population, sampling=IntegerRandomSampling(), eliminate_duplicates=True, **operators)
    result = minimize(Models(), algorithm, ("n_gen", generations), seed=seed)
    return np.asarray(result.pop.get("X")).astype(np.int64)
