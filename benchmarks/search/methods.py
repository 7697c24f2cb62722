"""Searches of formulas whose best model is known, by several methods; finished runs are kept as files."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import zlib
from pathlib import Path

import numpy as np

import scarlet_tf.arch
import scarlet_tf.search
from scarlet_tf.arch import Choice, SearchSpace
from scarlet_tf.files import write_atomically
from scarlet_tf.search import DEFAULT_OBJECTIVES, MutationMixture, Search, SearchConfig
from scarlet_tf.search.objectives import ACCURACY, cheap_quantities, cost_box, measure, scaled_costs
from scarlet_tf.search.pareto import hypervolume, non_dominated_ranks

OBJECTIVES = ("separable", "epistatic")
MIXTURES = {
    "mixture": MutationMixture(),
    "random": MutationMixture(random=1.0, reinforced=0.0, roulette=0.0),
    "roulette": MutationMixture(random=0.0, reinforced=0.0, roulette=1.0),
}
PYMOO = ("pymoo_point", "pymoo_sbx")
METHODS = (*MIXTURES, *PYMOO)


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


def code_fingerprint() -> str:
    """Return a hash of the sources and package versions that determine the result of a run."""
    folders = [Path(module.__file__).parent for module in (scarlet_tf.arch, scarlet_tf.search)]
    sources = sorted(path for folder in (*folders, Path(__file__).parent) for path in folder.glob("*.py"))
    versions = [f"{name} {importlib.metadata.version(name)}\n".encode() for name in ("numpy", "pymoo")]
    return hashlib.sha256(b"".join([*versions, *(path.read_bytes() for path in sources)])).hexdigest()[:16]


class RunStore:
    """Store each run as one JSON file, in a folder named after the code that made it."""

    def __init__(self, folder: Path, *, population: int, evaluations: int):
        self._folder = folder / f"{code_fingerprint()}_{population}_{evaluations}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, objective: str, method: str, seed: int) -> dict | None:
        path = self._path(objective, method, seed)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def write(self, run: dict) -> None:
        write_atomically(self._path(run["objective"], run["method"], run["seed"]), json.dumps(run) + "\n")

    def _path(self, objective: str, method: str, seed: int) -> Path:
        return self._folder / f"{objective}_{method}_{seed}.json"
