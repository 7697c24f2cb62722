"""The benchmark of a supernet's searches: equal evaluations, equal accuracies, and what the script refuses."""

import json
import types
from pathlib import Path

import numpy as np
import pytest
from by_genes import ByGenes

from benchmarks.figure6.figure6_searches import UNCONSTRAINED, Figure6Config, arm_archive, run_figure6
from benchmarks.search_supernet.search_supernet_page import make_page
from benchmarks.search_supernet.throughput import evaluate_alone, last_children, time_evaluation
from benchmarks.search_supernet.uniform_fronts import compare_fronts, front_figures
from scarlet_tf.arch import get_space
from scarlet_tf.search import evaluated_models, parse_constraints, parse_objectives
from scarlet_tf.search.objectives import DEFAULT_OBJECTIVES, cheap_quantities, cost_box
from scarlet_tf.supernet import PathEvaluator, Supernet

RECORDED = Path(__file__).parents[2] / "zoo" / "results" / "search_supernet.json"
SPACE = get_space("small")
CONFIG = Figure6Config(draws=30, population=8, generations=5, seeds=2)


def test_hypervolume_is_of_the_feasible_models_alone():
    objectives = parse_objectives("accuracy:max:0.5,madds:min:0.5")
    values = {"accuracy": np.array([0.5, 0.9, 0.4]), "madds": np.array([2.0, 6.0, 9.0])}
    box = np.array([-1.0, 0.0]), np.array([0.0, 10.0])
    everything = front_figures(values, constraints=(), box=box, objectives=objectives)
    assert everything["hypervolume"] == pytest.approx(0.5 * 0.8 + 0.4 * 0.4) and everything["feasible"] == 3
    accurate = front_figures(values, constraints=parse_constraints("accuracy>0.6"), box=box, objectives=objectives)
    assert accurate["hypervolume"] == pytest.approx(0.9 * 0.4) and accurate["feasible"] == 1
    none = front_figures(values, constraints=parse_constraints("accuracy>0.95"), box=box, objectives=objectives)
    assert (none["hypervolume"], none["feasible"], none["best_accuracy"]) == (0, 0, None)
    light = front_figures(values, constraints=parse_constraints("madds<5"), box=box, objectives=objectives)
    assert (light["feasible"], light["best_accuracy"]) == (1, 0.5)  # that of 0.9 is too heavy


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    output = tmp_path_factory.mktemp("figure6")
    arms = run_figure6(CONFIG, output, space=SPACE, evaluator=ByGenes())
    return {arm: [arm_archive(output, arm, seed) for seed in range(CONFIG.seeds)] for arm in arms}


def test_both_sides_have_the_same_number_of_models(archives, tmp_path):
    evaluator = ByGenes()
    rows = compare_fronts(SPACE, evaluator, archives=archives, evaluations=40, cache=tmp_path)
    assert [(row["arm"], row["seed"]) for row in rows] == [(arm, seed) for arm in archives for seed in (0, 1)]
    assert evaluator.evaluated == 2 * 40  # the arms share them
    box = cost_box(SPACE, DEFAULT_OBJECTIVES, cheap_quantities(SPACE))
    for row in rows:
        models = evaluated_models(archives[row["arm"]][row["seed"]])
        first = {name: column[:40] for name, column in models.values.items()}
        assert row["search"] == front_figures(first, constraints=parse_constraints(row["constraints"]), box=box)
        if row["arm"] == UNCONSTRAINED:
            assert row["search"]["feasible"] == row["uniform"]["feasible"] == 40
        else:
            assert 0 < row["uniform"]["feasible"] < 40
        assert 0 < row["uniform"]["hypervolume"] < 1
    idle = ByGenes()
    assert compare_fronts(SPACE, idle, archives=archives, evaluations=40, cache=tmp_path) == rows
    assert idle.evaluated == 0


def test_archives_that_do_not_fit_are_refused(archives, tmp_path):
    other = ByGenes()
    other.fingerprint = "another"
    with pytest.raises(ValueError, match=r"made with another supernet"):
        compare_fronts(SPACE, other, archives=archives, evaluations=40, cache=tmp_path)
    with pytest.raises(ValueError, match=r"expected 4000: is it finished"):
        compare_fronts(SPACE, ByGenes(), archives=archives, evaluations=4000, cache=tmp_path)


def test_children_are_those_of_the_last_generation(archives):
    path = archives[UNCONSTRAINED][0]
    models = evaluated_models(path)
    np.testing.assert_array_equal(last_children(path, 8), models.genomes[-8:])  # all feasible: 8 a generation
    with pytest.raises(ValueError, match=r"generation 5 evaluated 8 models, expected 9"):
        last_children(path, 9)


@pytest.mark.slow
def test_models_alone_have_the_accuracies_of_the_supernet(two_layer_space):
    rng = np.random.default_rng(0)
    supernet, genomes = Supernet(two_layer_space, seed=1), np.array([[0, 3], [0, 1]])
    images, calibration = rng.standard_normal((2, 40, 8, 8, 3)).astype(np.float32)
    labels = rng.integers(0, 2, 40)
    paths = {bn: PathEvaluator(supernet, bn=bn, calibration=calibration) for bn in ("moving", "recalibrated")}
    evaluators = {
        bn: types.SimpleNamespace(
            batches=lambda: [(images[:25], labels[:25]), (images[25:], labels[25:])],
            calibration=calibration,
            evaluate=lambda genomes, path=path: path.accuracies(genomes, images, labels),
        )
        for bn, path in paths.items()
    }
    result = time_evaluation(supernet, genomes, evaluators=evaluators, rounds=1)
    assert (result["models"], result["images"]) == (2, 40)
    assert result["different_accuracies"] == result["different_answers"] == {"moving": 0, "recalibrated": 0}
    seconds = result["seconds"]
    assert result["together_over_one_by_one"] == seconds["recalibrated"][0] / seconds["one_by_one"][0]
    assert set(seconds) == {"moving", "recalibrated", "one_by_one", "alone"} and result["ratios"]["alone"] == 1
    assert result["ratios"]["moving"] == pytest.approx(seconds["moving"][0] / seconds["alone"][0])
    assert result["ratios"]["moving"] < 1 / 3
    # Other labels, or other calibration images, give other accuracies: what is compared above could differ.
    _, accuracies = evaluate_alone(supernet, genomes, images, 1 - labels)
    assert (accuracies != paths["moving"].accuracies(genomes, images, labels)).any()
    _, accuracies = evaluate_alone(supernet, genomes, images, labels, calibration=3 * images[:5])
    assert (accuracies != paths["recalibrated"].accuracies(genomes, images, labels)).any()


def test_page_shows_every_seed_and_the_medians():
    def side(hypervolume, feasible):
        return {"hypervolume": hypervolume, "feasible": feasible, "best_accuracy": 0.8 if feasible else None}

    pairs = [(0.5, 0.4), (0.7, 0.3), (0.6, 0.2)]
    result = {
        "command": "python -m benchmarks.search_supernet",
        "date": "2026-01-01",
        "machine": {"cpu": "a CPU", "architecture": "x", "cores": 2, "cores_used": 1},
        "versions": {"numpy": "2"},
        "supernet": {
            "fingerprint": "abc",
            "step": 40,
            "config": {"space": {"name": "small"}, "data": {"name": "flowers"}, "steps": 40, "batch_size": 8},
        },
        "evaluation": {"bn": "recalibrated", "images": 100, "calibration_images": 50},
        "evaluations": 40,
        "fronts": [
            {"arm": "a", "seed": s, "constraints": "accuracy>0.5", "search": side(x, 40), "uniform": side(y, 20 * s)}
            for s, (x, y) in enumerate(pairs)
        ],
        "throughput": {
            "models": 8,
            "images": 100,
            "seconds": {"moving": [1.0, 2.0], "recalibrated": [2, 2], "one_by_one": [4, 4], "alone": [10, 10]},
            "ratios": {"moving": 0.15, "recalibrated": 0.2, "one_by_one": 0.4, "alone": 1.0},
            "together_over_one_by_one": 0.5,
            "different_accuracies": {"moving": 0, "recalibrated": 2},
            "different_answers": {"moving": 0, "recalibrated": 1},
        },
    }
    page = make_page(result)
    assert "### accuracy>0.5" in page and "| 1 | 0.7000 | 0.3000 | 40, 0.800 | 20, 0.800 |" in page
    assert "| median | 0.6000 | 0.3000 | 40, 0.800 | 20, 0.800 |" in page
    assert "| 0 | 0.5000 | 0.4000 | 40, 0.800 | 0, none |" in page
    assert 'The supernet (abc): space "small", flowers, 40 fair steps of batch 8.\nEvaluated on 100 images' in page
    assert "moving statistics | 1.50 | 0.150 |" in page
    assert "All together take 0.500 of the time" in page
    assert "with moving statistics 0 of 8; with recalibrated statistics 2 of 8, by at most 1 of 100 images." in page


def test_recorded_page_is_that_of_the_recorded_numbers():
    result = json.loads(RECORDED.read_text())
    assert make_page(result) == RECORDED.with_suffix(".md").read_text()
    speed = result["throughput"]
    seconds = {way: np.array(taken) for way, taken in speed["seconds"].items()}
    for way, taken in seconds.items():
        assert speed["ratios"][way] == pytest.approx(np.median(taken / seconds["alone"]))
    together = seconds["recalibrated"] / seconds["one_by_one"]
    assert speed["together_over_one_by_one"] == pytest.approx(np.median(together))


def test_searches_that_are_not_there(tmp_path, call_experiment):
    result = call_experiment("search_supernet", "--supernet=absent", "--searches=absent", "--output=o", cwd=tmp_path)
    assert result.returncode == 2 and "absent/figure6.json" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())
    (tmp_path / "figure6.json").write_text("{}")
    result = call_experiment("search_supernet", "--supernet=absent", "--searches=.", "--output=o", cwd=tmp_path)
    assert result.returncode == 2 and "no supernet in absent" in result.stderr
    result = call_experiment("search_supernet", cwd=tmp_path)
    example = "python -m benchmarks.search_supernet --supernet=runs/quickstart/supernet --searches=runs/figure6"
    assert "are required; for example: " in result.stderr and result.stderr.endswith(f"{example}\n")
