"""The comparison of searches at equal cost: its counts, its methods with scripted trainings, and a short run."""

import dataclasses
import functools
import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.equal_cost import cost_methods, cost_runs
from benchmarks.equal_cost.cost_config import CostConfig, HalvingSettings
from benchmarks.equal_cost.cost_page import make_cost_page, write_cost
from benchmarks.equal_cost.costs import Budget, one_shot_cost, path_madds, supernet_training_cost
from benchmarks.garment_pairs import drawing, pairs_builder
from benchmarks.garment_pairs.pairs_space import pairs_space
from benchmarks.intervals import t_interval
from benchmarks.rows import finished_rows, run_rows
from scarlet_tf import progress
from scarlet_tf.arch import count, count_genomes
from scarlet_tf.data.data_config import default_data_dir
from scarlet_tf.supernet.sampler import fair_paths
from scarlet_tf.training.config import TrainConfig

FOLDER = Path(cost_methods.__file__).parent
RESULTS = Path(__file__).parents[2] / "zoo" / "results"
SPACE = pairs_space(12)


def short(**changes) -> CostConfig:
    return dataclasses.replace(CostConfig.read(FOLDER / "short.json"), **changes)


def test_paths_cost_what_their_networks_with_lets_cost():
    genomes = SPACE.random(np.random.default_rng(0), 20)
    alone = [count(SPACE.spec(genome, let=True)).madds for genome in genomes]
    np.testing.assert_array_equal(path_madds(SPACE, genomes), alone)
    assert one_shot_cost(SPACE, genomes, images=7) == 7 * sum(alone)


def test_every_fair_step_costs_the_sum_over_its_paths():
    settings = short().supernet
    for seed, step in ((0, 0), (3, 5)):
        paths = fair_paths(seed, step, num_choices=SPACE.num_choices)
        alone = sum(count(SPACE.spec(path, let=True)).madds for path in paths)
        assert supernet_training_cost(SPACE, settings) == 3 * settings.steps * settings.batch_size * alone


def test_a_budget_is_never_exceeded():
    budget = Budget(total=10)
    assert budget.spend(6) and not budget.spend(5) and budget.spent == 6
    assert budget.spend(4) and budget.spent == 10


def test_rungs_grow_by_the_factor():
    assert HalvingSettings(epochs=3, factor=3, rungs=3).steps(273) == (91, 273, 819)
    assert HalvingSettings(epochs=0.01, factor=2, rungs=2).steps(7) == (1, 2)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_configs_are_valid(path):
    config = CostConfig.read(path)
    names = [row.name for row in config.rows()]
    assert len(set(names)) == len(names) == len(config.methods) * len(config.seeds)
    assert names[0] == f"supernet/{config.seeds[0]}"
    assert CostConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"methods": ["supernet", "halfing"]}, "unknown method 'halfing'.*nearest is 'halving'"),
        ({"methods": ["random"]}, "methods must have 'supernet'"),
        ({"seeds": []}, "needs seeds"),
        ({"images": 51}, "images must be at most the 50 held-out images, got 51"),
        ({"max_madds": 400000}, "the smallest of 1000 random ones has [0-9]+ multiply-adds, got 400000"),
        ({"final_epochs": 0}, "final_epochs must be > 0"),
        ({"halving": {"epochs": 1, "factor": 1}}, "halving: factor must be an integer >= 2, got 1"),
        ({"supernet": {"steps": 1}}, "supernet: steps must be an integer >= 2, got 1"),
        ({"supernet": {"steps": 2, "residual_gamma": -1}}, "residual_gamma must be >= 0, got -1"),
        ({"zero_gamma": 2}, "zero_gamma must be True or False, got 2"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_bad_configs_are_named(tmp_path, change, words):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(json.loads((FOLDER / "short.json").read_text()) | change))
    with pytest.raises(ValueError, match=f"bad.json is not a config of this experiment: .*{words}"):
        CostConfig.read(path)


IMAGES_PER_STEP = 128


class ScriptedTraining:
    """In the place of `ShortTraining`: accuracy grows with the steps and with the sum of the genes."""

    made: list = []  # noqa: RUF012

    def __init__(self, spec, data, config, *, total_steps, images, record):
        self.genome, self.madds, self.record, self.steps = spec.genome, count(spec).madds, record, []
        self.made.append(self)

    def cost(self, first, last):
        return self.madds * (3 * IMAGES_PER_STEP * (last - first) + 100)

    def accuracy_after(self, steps):
        self.steps.append(steps)
        return sum(self.genome) / 100 + steps / 10000


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.setattr(cost_methods, "ShortTraining", ScriptedTraining)
    monkeypatch.setattr(cost_methods, "open_dataset", lambda _: SimpleNamespace(num_examples={"train": 1280}))
    monkeypatch.setattr(ScriptedTraining, "made", [])
    return ScriptedTraining.made


def spent(trainings) -> int:
    return sum(t.cost(before, after) for t in trainings for before, after in zip([0, *t.steps], t.steps, strict=False))


BUDGET = 2_000_000 * 3 * IMAGES_PER_STEP * 10 * 60


def test_random_search_spends_its_budget_and_picks_the_best(tmp_path, scripted):
    config = short(random_epochs=1)
    pick = cost_methods.search_at_random(config, tmp_path, seed=1, budget=BUDGET, data_dir=None)
    *trained, refused = scripted
    assert all(training.steps == [10] for training in trained) and refused.steps == []
    assert pick.cost == spent(trained) <= pick.budget == BUDGET < pick.cost + refused.cost(0, 10)
    assert len({training.genome for training in trained}) == len(trained) == pick.models == pick.finished > 50
    assert max(training.madds for training in scripted) <= config.max_madds
    best = max(trained, key=lambda training: sum(training.genome))
    assert pick.genome == best.genome and pick.accuracy == pick.spread[1] == sum(best.genome) / 100 + 0.001
    assert len({training.record for training in trained}) == len(trained)
    assert cost_methods.search_at_random(config, tmp_path, seed=1, budget=BUDGET, data_dir=None) == pick
    assert cost_methods.search_at_random(config, tmp_path, seed=2, budget=BUDGET, data_dir=None) != pick


def test_a_search_shows_the_share_of_its_budget(tmp_path, scripted, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS", 0)
    cost_methods.search_at_random(short(random_epochs=1), tmp_path, seed=1, budget=BUDGET, data_dir=None)
    *_, last = re.findall(r"search by multiply-adds: (\d+) of (\d+) billions, .* left", capsys.readouterr().err)
    assert int(last[1]) == BUDGET // 10**9 and 0.9 * int(last[1]) < int(last[0]) <= int(last[1])


def test_halving_promotes_the_best_and_spends_its_budget(tmp_path, scripted):
    pytest.importorskip("optuna")
    config = short(halving=HalvingSettings(epochs=9, factor=3, rungs=3))
    pick = cost_methods.search_by_halving(config, tmp_path, seed=1, budget=BUDGET, data_dir=None)
    trained = [training for training in scripted if training.steps]
    assert {tuple(training.steps) for training in trained} == {(10,), (10, 30), (10, 30, 90)}
    assert BUDGET - max(t.cost(30, 90) for t in trained) < pick.cost == spent(trained) <= BUDGET
    assert max(training.madds for training in trained) <= config.max_madds
    reached = [sum(len(training.steps) > rung for training in trained) for rung in range(3)]
    assert reached[0] == pick.models > reached[1] > reached[2] == pick.finished
    # Whoever is above all before it goes on; one in three of many go on, and more of the first few.
    scores = [sum(training.genome) for training in trained[:-1]]
    for number, training in enumerate(trained[:-1]):
        if number == 0 or scores[number] > max(scores[:number]):
            assert len(training.steps) > 1
        if len(training.steps) > 1:
            better = sum(score > scores[number] for score in scores[:number])
            assert better < max(1, (number + 1) // 3)
    finished = [training for training in trained if len(training.steps) == 3]
    assert sum(pick.genome) == max(sum(training.genome) for training in finished)
    assert cost_methods.search_by_halving(config, tmp_path, seed=1, budget=BUDGET, data_dir=None) == pick


def test_a_budget_for_no_model_is_refused(tmp_path, scripted):
    with pytest.raises(ValueError, match="a budget of 1000 multiply-adds does not suffice for the first training"):
        cost_methods.search_at_random(short(), tmp_path, seed=1, budget=1000, data_dir=None)


@pytest.mark.parametrize("search", [cost_methods.search_at_random, cost_methods.search_by_halving])
def test_a_search_ends_when_hardly_a_model_is_left(search, tmp_path, scripted, monkeypatch):
    pytest.importorskip("optuna")
    everything = np.array(list(itertools.product(range(5), repeat=6)))
    madds, _ = count_genomes(pairs_space(4), everything)
    config = short(random_epochs=1, blocks=4, max_madds=int(np.sort(madds)[99]))
    total = (madds <= config.max_madds).sum()
    # While 99 of 100 are left, 300 draws in a row miss these with a probability of (1 - 99 / 5^6)^300 = 0.15.
    monkeypatch.setattr(cost_methods, "_PATIENCE", 300)
    pick = search(config, tmp_path, seed=1, budget=10**18, data_dir=None)
    assert len({training.genome for training in scripted}) == len(scripted) == pick.models
    assert 1 < pick.models <= total
    assert max(training.madds for training in scripted) <= config.max_madds
    monkeypatch.setattr(cost_methods, "_PATIENCE", 1)
    with pytest.raises(ValueError, match=f"none of 1 models drawn has at most max_madds={config.max_madds}"):
        search(config, tmp_path, seed=1, budget=10**18, data_dir=None)


def test_the_cost_of_a_supernet_is_the_budget_of_the_others(tmp_path, scripted):
    config = short(seeds=(0, 1))
    run = functools.partial(cost_runs.run_row, config, data_dir=None)
    rows = {"supernet/0": {"cost": 1}, "supernet/1": {"cost": 1000}}
    with pytest.raises(ValueError, match="a budget of 1000 multiply-adds does not suffice"):
        run_rows(config, run, tmp_path, only="random/1", finished=rows)
    del rows["supernet/1"]
    with pytest.raises(ValueError, match="run --only=supernet/1 first"):
        run_rows(config, run, tmp_path, only="random/1", finished=rows)


def test_settings_of_a_row_are_those_that_it_depends_on():
    config = short(seeds=(0, 1))
    settings = {row.name: config.settings(row) for row in config.rows()}
    one = short(seeds=(1,), methods=("supernet",))
    assert settings["supernet/1"] == next(one.settings(row) for row in one.rows())
    assert settings["random/1"] == settings["supernet/1"] | {"method": "random"}
    recipe = settings["supernet/0"]["training"]
    assert TrainConfig(**recipe, epochs=3, seed=4) == config.training(epochs=3, seed=4)
    assert settings["supernet/0"]["garment_pairs"] == drawing.VERSION and settings["supernet/0"]["final_epochs"] == 0.01


def row(method, seed, test):
    return {
        "made": {"date": "2026-11-29", "machine": {"cores": 2}},
        "genome": [seed] * 6,
        "accuracy": test - 0.2,
        "cost": 90 if method == "random" else 100,
        "budget": 100,
        "models": 7,
        "finished": 0 if method == "supernet" else 7,
        "spread": [0.1, 0.3],
        "madds": 2_000_000,
        "test": test,
        "test_measured": test + 0.001,
        "cpu_seconds": {"search": 100.0 + seed, "final": 50.0},
    }


def test_page_has_means_intervals_and_verdicts():
    base = {"supernet": 0.6, "random": 0.5, "halving": 0.61}
    noise = {"supernet": (0, 0.01, 0.02), "random": (0, 0.012, 0.02), "halving": (0.02, 0, 0.01)}
    config = short(seeds=(0, 1, 2))
    rows = {r.name: row(r.method, r.seed, base[r.method] + noise[r.method][r.seed]) for r in config.rows()}
    result = {"command": "c", "date": "2026-11-29", "machine": {"cores": 2}, "config": config.to_dict(), "rows": rows}
    page = make_cost_page(result, picture="result.svg")
    paired = t_interval(np.array([0.1, 0.098, 0.1]))
    assert f"| random search | {t_interval(np.array([0.5, 0.512, 0.52]))} | 7.0 | 7.0 | 0.900 | 101 | 50 |" in page
    assert f"| supernet and NSGA-II less random search | {paired} | shown |" in page
    paired = t_interval(np.array([-0.03, 0, 0]))
    assert f"| supernet and NSGA-II less successive halving | {paired} | undecided |" in page
    paired = t_interval(np.array([0.13, 0.098, 0.1]))
    assert f"| successive halving less random search | {paired} | shown |" in page
    assert "| random/1 | 1,1,1,1,1,1 | 2.000 | 0.312 | 0.100 to 0.300 | 0.5120 | 0.5130 | 7 |" in page


def test_recorded_page_is_that_of_the_recorded_rows():
    result = json.loads((RESULTS / "equal_cost.json").read_text())
    config = CostConfig.read(FOLDER / "main.json")
    assert list(finished_rows([RESULTS / "equal_cost.json"], config)) == [row.name for row in config.rows()]
    assert make_cost_page(result, picture="equal_cost.svg") == (RESULTS / "equal_cost.md").read_text()


@pytest.mark.slow
def test_a_short_run_keeps_to_its_budget_and_resumes(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr(pairs_builder, "NUM_EXAMPLES", {"train": 1000, "test": 20})
    (tmp_path / "fashion_mnist").symlink_to(default_data_dir() / "fashion_mnist")
    pairs_builder.prepare_garment_pairs(tmp_path)
    config, output = short(), tmp_path / "runs"
    run = functools.partial(cost_runs.run_row, config, data_dir=str(tmp_path))
    results = run_rows(config, run, output)
    assert list(results) == ["supernet/0", "random/0", "halving/0"]
    budget = results["supernet/0"]["cost"]
    largest = config.max_madds * (3 * 128 + 950 + 40)  # a step of the largest model, and its measurement
    for name, result in results.items():
        assert budget - largest < result["cost"] <= result["budget"] == budget
        assert count_genomes(SPACE, np.array([result["genome"]]))[0] == result["madds"] <= config.max_madds
        assert result["cpu_seconds"]["search"] > 0 and result["cpu_seconds"]["final"] > 0
        assert len(list((output / name / "models").glob("*.json"))) == (0 if "supernet" in name else result["models"])
    assert results["supernet/0"]["models"] == 6 and results["random/0"]["models"] >= 2
    assert results["halving/0"]["finished"] >= 1
    # Without its result, a row is the same again; without its pick too, from the trainings that are kept.
    (output / "random/0/row.json").unlink()
    (output / "halving/0/row.json").unlink()
    (output / "halving/0/pick.json").unlink()
    (output / "halving/0/models/0001.json").unlink()  # as if it was stopped during the second training
    again = run_rows(config, run, output)
    assert again["random/0"] == results["random/0"]
    assert again["halving/0"] | {"cpu_seconds": {}} == results["halving/0"] | {"cpu_seconds": {}}
    page = write_cost(tmp_path / "result", config, results, command="c")
    assert "| supernet/0 | " in page and (tmp_path / "result.svg").stat().st_size > 1000


@pytest.mark.slow
def test_a_short_training_is_that_of_the_trainer(tmp_path, bright_images):
    from benchmarks.equal_cost.short_training import ShortTraining
    from scarlet_tf.data import DataConfig, open_dataset
    from scarlet_tf.training.config import train_config
    from scarlet_tf.training.trainer import train

    root = bright_images(side=16, classes=3, train=120, test=8)
    spec = dataclasses.replace(SPACE.spec((0, 12, 12, 12, 12, 12)), classes=3, resolution=16)
    data = open_dataset(DataConfig(name=f"folder:{root}", image_size=16, search_validation=40))

    config = train_config("small", epochs=3, seed=3)

    def training(name):
        return ShortTraining(spec, data, config, total_steps=6, images=40, record=tmp_path / name)

    paused = training("paused.json")
    found = {steps: paused.accuracy_after(steps) for steps in (2, 6)}
    assert training("at_once.json").accuracy_after(6) == found[6]
    kept = training("paused.json")
    assert kept.accuracies == found and kept.accuracy_after(2) == found[2]
    assert paused.cost(2, 6) == count(spec).madds * (3 * 4 * 128 + 320 + 40)
    result = train(spec, data, config, output=tmp_path / "trained")
    assert result["steps"] == 6
    weights = paused._running._model.get_weights()
    import keras

    for own, other in zip(
        weights, keras.models.load_model(tmp_path / "trained/model.keras").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(own, other)
