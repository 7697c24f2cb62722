"""Measure the time that a generation takes besides its evaluations."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.search.methods import SyntheticAccuracy
from scarlet_tf.arch import SearchSpace
from scarlet_tf.search import MutationMixture, Search, SearchConfig

WITHOUT = MutationMixture(reinforced=0.0)  # random and roulette keep the ratio of their shares


def measure_overhead(space: SearchSpace, *, population: int, generations: int) -> dict[str, dict[str, float]]:
    """Return median and p90 milliseconds of a generation, CPU and wall clock, with and without the controller.

    Each measurement is one search with 3 objectives, the default constraints and an archive on disk. Generation 0 is
    not counted.
    """
    result = {}
    for name, mixture in (("without controller", WITHOUT), ("with controller", MutationMixture())):
        config = SearchConfig(population=population, generations=generations, mixture=mixture)
        clock = _Clock(SyntheticAccuracy(space, "epistatic"))
        with tempfile.TemporaryDirectory() as folder:
            Search(space, config, archive=Path(folder) / "archive.sqlite").run(clock, progress=clock.mark)
        median, p90 = np.percentile(1000 * np.array(clock.overheads[1:]), (50, 90), axis=0).round(2).tolist()
        result[name] = dict(zip(("cpu_ms", "wall_ms", "cpu_p90_ms", "wall_p90_ms"), median + p90, strict=True))
    return result


class _Clock:
    """An `Evaluator` that subtracts its own time from that of the generations."""

    def __init__(self, accuracy: SyntheticAccuracy):
        self.fingerprint, self._accuracy = accuracy.fingerprint, accuracy
        self._since, self._evaluating = _now(), np.zeros(2)
        self.overheads: list[np.ndarray] = []  # per generation: seconds of CPU and wall clock

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        started = _now()
        accuracy = self._accuracy.evaluate(genomes)
        self._evaluating += _now() - started
        return accuracy

    def mark(self, _: object) -> None:
        now = _now()
        self.overheads.append(now - self._since - self._evaluating)
        self._since, self._evaluating = now, np.zeros(2)


def _now() -> np.ndarray:
    return np.array([time.process_time(), time.perf_counter()])
