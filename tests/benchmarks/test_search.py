"""The benchmark of mutations: exact optima, equal evaluations, resuming, and what the script refuses."""

import importlib.metadata
import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search.methods import METHODS, OBJECTIVES, RunStore, SyntheticAccuracy, run_method
from benchmarks.search.overhead import measure_overhead
from benchmarks.search.search_page import make_page, summarise
from scarlet_tf.arch import SearchSpace, get_space

RECORDED = Path(__file__).parents[2] / "zoo" / "results" / "search.json"
TINY = SearchSpace(name="tiny", out_channels=(16, 24, 24), strides=(1, 2, 1), resolution=32)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_optimum_is_that_of_all_models(objective):
    accuracy = SyntheticAccuracy(TINY, objective)
    genomes = np.array(list(itertools.product(range(13), repeat=3)))
    values = accuracy.evaluate(genomes)
    assert genomes[values.argmax()].tolist() == accuracy.best.tolist() and values.max() == 1
    assert genomes[values.argmin()].tolist() == accuracy.worst.tolist() and values.min() == 0


def test_only_one_of_them_is_separable():
    genomes = np.array([[0, 1, 2], [5, 1, 2], [0, 7, 2], [5, 7, 2]])
    for objective in OBJECTIVES:
        none, first, second, both = SyntheticAccuracy(TINY, objective).evaluate(genomes)
        additive = np.isclose(first - none, both - second)
        assert additive == (objective == "separable")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_evaluates_as_much_and_repeats(method):
    runs = [
        run_method(get_space("small"), "separable", method, seed=3, population=10, evaluations=50) for _ in range(2)
    ]
    assert runs[0] == runs[1] and runs[0]["evaluations"] == 50
    assert 0 < runs[0]["hypervolume"] <= runs[0]["hypervolume_all"] < 1
    assert 0.4 < runs[0]["best_accuracy"] <= 1


def fake_runs():
    for seed in range(4):
        yield {"objective": "separable", "method": "mixture", "seed": seed, "hypervolume": 0.5 + 0.01 * seed}
        yield {"objective": "separable", "method": "random", "seed": seed, "hypervolume": 0.49 + 0.01 * seed}


def test_summary():
    runs = [run | {"hypervolume_all": 0.6, "best_accuracy": 1.0} for run in fake_runs()]
    ours, random = summarise(runs)
    assert ours["hypervolume"][0] == 0.515 and ours["hypervolume"][1] >= 0.5 and "wins" not in ours
    assert random["mixture_above"][0] == pytest.approx(0.01)
    assert random["wins"] == (1 + 2 + 3 + 4) / 16  # ties count for nobody
    assert ours["best_accuracy"] == [1.0, 1.0, 1.0]


def test_overhead_leaves_evaluation_out(monkeypatch):
    late = np.zeros(2)

    class Slow(SyntheticAccuracy):
        """Takes an hour by the clock that is put in place of the machine's."""

        def evaluate(self, genomes):
            late[:] += 3600
            return super().evaluate(genomes)

    def now():
        return np.array([time.process_time(), time.perf_counter()]) + late

    monkeypatch.setattr("benchmarks.search.overhead.SyntheticAccuracy", Slow)
    monkeypatch.setattr("benchmarks.search.overhead._now", now)
    overhead = measure_overhead(get_space("small"), population=10, generations=3)
    assert set(overhead) == {"without controller", "with controller"}
    for milliseconds in overhead.values():
        assert 0 < milliseconds["cpu_ms"] < 60_000 and 0 < milliseconds["wall_ms"] < 600_000


def test_script_goes_on_where_it_was(tmp_path, call_experiment):
    flags = ["--population=10", "--evaluations=30", "--timed=2", "--objectives=separable", f"--output={tmp_path / 'o'}"]

    def call(*more):
        return call_experiment("search", *flags, f"--cache={tmp_path / 'cache'}", *more, cwd=tmp_path)

    result = call("--methods=random", "--seeds=1")
    assert result.returncode == 0, result.stderr[-2000:]
    (kept,) = (tmp_path / "cache").glob("*/*.json")
    marked = json.loads(kept.read_text()) | {"hypervolume": 0.123}
    kept.write_text(json.dumps(marked))
    assert call("--methods=random,roulette", "--seeds=2").returncode == 0
    result = json.loads((tmp_path / "o.json").read_text())
    assert [(run["method"], run["seed"]) for run in result["runs"]] == [
        ("random", 0),
        ("roulette", 0),
        ("random", 1),
        ("roulette", 1),
    ]
    assert result["runs"][0]["hypervolume"] == 0.123  # not run again
    assert make_page(result) == (tmp_path / "o.md").read_text()
    assert result["command"] == (  # where files lie is left out
        "python -m benchmarks.search --seeds=2 --methods=random,roulette --objectives=separable --population=10 "
        "--evaluations=30 --timed=2"
    )
    assert call("--part=overhead", "--seeds=7").returncode == 0
    timed = json.loads((tmp_path / "o.json").read_text())
    assert "--part=overhead" in timed["overhead_measured"]["command"] and timed["overhead"] != result["overhead"]
    assert {name for name in timed if timed[name] != result[name]} == {"overhead", "overhead_measured"}


def test_recorded_page_is_that_of_the_recorded_numbers():
    result = json.loads(RECORDED.read_text())
    assert make_page(result) == RECORDED.with_suffix(".md").read_text()
    assert summarise(result["runs"]) == result["summary"]


@pytest.mark.parametrize("package", ["numpy", "pymoo"])
def test_runs_with_other_packages_are_not_taken(package, tmp_path, monkeypatch):
    RunStore(tmp_path, population=10, evaluations=50).write({"objective": "separable", "method": "random", "seed": 1})
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version(name) + ".1" * (name == package))
    assert RunStore(tmp_path, population=10, evaluations=50).read("separable", "random", 1) is None


def test_runs_of_another_size_are_not_taken(tmp_path):
    store = RunStore(tmp_path, population=10, evaluations=50)
    store.write({"objective": "separable", "method": "random", "seed": 1})
    assert store.read("separable", "random", 1)["seed"] == 1
    assert RunStore(tmp_path, population=10, evaluations=60).read("separable", "random", 1) is None


@pytest.mark.parametrize(
    ("flag", "naming"),
    [
        ("--methods=randon", "nearest is 'random'"),
        ("--objectives=seperable", "nearest is 'separable'"),
        ("--evaluations=100", "multiple of the population"),
        ("--output=/dev/null/search", "/dev/null is not a folder"),
    ],
)
def test_bad_values(flag, naming, tmp_path, call_experiment):
    result = call_experiment("search", flag, cwd=tmp_path)
    assert result.returncode == 2 and naming in result.stderr and len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
