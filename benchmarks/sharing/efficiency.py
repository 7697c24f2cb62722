"""Count the work of the calls that a search makes to its evaluator, for several ways to divide them among replicas."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.search.methods import SyntheticAccuracy
from scarlet_tf.arch import SearchSpace
from scarlet_tf.progress import progress
from scarlet_tf.search import Search, SearchConfig
from scarlet_tf.supernet.sharing import (
    EvaluationImages,
    PathCosts,
    Share,
    SortedGenomes,
    block_counts,
    multiply_adds,
    plan,
)

UNITS: Mapping[str, Callable[[SearchSpace], PathCosts]] = {"multiply-adds": multiply_adds, "blocks": block_counts}
Divide = Callable[[np.ndarray, int], list[list[Share]]]


def parse_counts(texts: Sequence[str | int]) -> tuple[int, ...]:
    """Return numbers of replicas; raise ValueError unless all are integers >= 1."""
    if not all(str(text).isdecimal() and int(text) >= 1 for text in texts):
        raise ValueError(f"--replicas must be integers >= 1, got {','.join(map(str, texts))}")
    return tuple(map(int, texts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """Settings of the evaluation: numbers of held-out images, of images of a batch, of calibration images, and of
    models of a portion for each replica.
    """

    images: int
    batch_size: int
    calibration_images: int
    portion: int

    def evaluation_images(self, bn: str) -> EvaluationImages:
        """Return the images with "moving" or "recalibrated" statistics."""
        whole, rest = divmod(self.images, self.batch_size)
        batches = (self.batch_size,) * whole + (rest,) * (rest > 0)
        return EvaluationImages(batches=batches, calibration=self.calibration_images if bn == "recalibrated" else 0)


def searched_calls(space: SearchSpace, *, population: int, generations: int, seed: int) -> list[list[np.ndarray]]:
    """Search a formula; return for each generation the genomes (n, num_layers) of each call to the evaluator."""
    recorder = _Recorder(SyntheticAccuracy(space, "epistatic"))
    config = SearchConfig(population=population, generations=generations, seed=seed)
    with progress(label="search a formula", unit="generation", total=generations + 1) as bar:

        def next_generation(_: object) -> None:
            recorder.next_generation()
            bar.update()

        Search(space, config).run(recorder, progress=next_generation)
    return recorder.generations[:-1]


class _Recorder:
    """An `Evaluator` that keeps the genomes of its calls."""

    def __init__(self, accuracy: SyntheticAccuracy) -> None:
        self.fingerprint, self._accuracy = accuracy.fingerprint, accuracy
        self.generations: list[list[np.ndarray]] = [[]]

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        self.generations[-1].append(genomes)
        return self._accuracy.evaluate(genomes)

    def next_generation(self) -> None:
        self.generations.append([])


def measure(
    space: SearchSpace, generations: Sequence[Sequence[np.ndarray]], *, replicas: Sequence[int], setting: Setting
) -> dict:
    """Return efficiencies by BN mode, unit, part of the search, way to divide, and number of replicas.

    The efficiency of n replicas is W / (n * sum of the largest work of a replica, over what is evaluated in one go),
    where W is the work of one replica that evaluates every call in one go.

    Returns:
        JSON values: "setting", "space", "generations", "models", and "rows", a list of dicts.
    """
    parts = {
        "generation 0": generations[:1],
        f"generation {len(generations) - 1}": generations[-1:],
        "whole search": generations,
    }
    planned_by, rows = multiply_adds(space), []
    calls_of = {part: [call for generation in chosen for call in generation] for part, chosen in parts.items()}
    to_divide = [
        (bn, part, way, divide)
        for bn in ("moving", "recalibrated")
        for part in parts
        for way, divide in ways(planned_by, setting.evaluation_images(bn), portion=setting.portion).items()
    ]
    total = (1 + len(replicas)) * sum(len(calls_of[part]) for _, part, _, _ in to_divide)
    with progress(label="divide calls", unit="division", total=total) as bar:
        for bn, part, way, divide in to_divide:
            calls, images = calls_of[part], setting.evaluation_images(bn)
            found = {unit: {} for unit in UNITS}
            for n in (1, *replicas):
                divided = [divide(call, n) for call in calls]
                for unit, costs in UNITS.items():
                    found[unit][str(n)] = _efficiency(calls, divided, replicas=n, costs=costs(space), images=images)
                bar.update(len(calls))
            rows += [{"bn": bn, "part": part, "way": way, "unit": unit, "efficiency": found[unit]} for unit in UNITS]
    return {
        "space": space.name,
        "setting": dataclasses.asdict(setting),
        "generations": len(generations) - 1,
        "models": sum(len(call) for generation in generations for call in generation),
        "rows": rows,
    }


def ways(costs: PathCosts, images: EvaluationImages, *, portion: int) -> dict[str, Divide]:
    """Return the ways to divide a call's genomes among replicas, by name.

    Each is a function (genomes, number of replicas) -> a list with the shares of all replicas for each portion.
    """

    def equal_counts(genomes: np.ndarray, replicas: int) -> list[list[Share]]:
        order = np.lexsort(genomes.T[::-1])
        return [[Share(rows, (0, 1)) for rows in np.array_split(order, replicas)]]

    def equal_work(genomes: np.ndarray, replicas: int) -> list[list[Share]]:
        return [[Share(rows, (0, 1)) for rows in SortedGenomes(genomes, costs).divide(replicas)]]

    def images_only(genomes: np.ndarray, replicas: int) -> list[list[Share]]:
        return [[Share(np.arange(len(genomes)), (shard, replicas)) for shard in range(replicas)]]

    def planned(genomes: np.ndarray, replicas: int) -> list[list[Share]]:
        return [plan(genomes, replicas, costs=costs, images=images)]

    def in_portions(genomes: np.ndarray, replicas: int) -> list[list[Share]]:
        count = -(-len(genomes) // (portion * replicas))
        shares = []
        for rows in SortedGenomes(genomes, costs).divide(count):
            planned_shares = plan(genomes[rows], replicas, costs=costs, images=images)
            shares.append([Share(rows[share.rows], share.shard) for share in planned_shares])
        return shares

    return {
        "equal counts of models": equal_counts,
        "equal work": equal_work,
        "images only": images_only,
        "plan": planned,
        "plan, in portions": in_portions,
    }


def _efficiency(
    calls: Sequence[np.ndarray],
    divided: Sequence[Sequence[Sequence[Share]]],
    *,
    replicas: int,
    costs: PathCosts,
    images: EvaluationImages,
) -> float:
    alone, slowest = 0, 0
    for genomes, portions in zip(calls, divided, strict=True):
        alone += Share(np.arange(len(genomes)), (0, 1)).work(genomes, costs=costs, images=images)
        for shares in portions:
            slowest += max(share.work(genomes, costs=costs, images=images) for share in shares)
    return alone / (replicas * slowest)
