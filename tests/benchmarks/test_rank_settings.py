"""The comparison of rankings by differently trained supernets: its config, its page, and a short run."""

import functools
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks.garment_pairs import pairs_builder
from benchmarks.rank_settings import rank_runs
from benchmarks.rank_settings.hypotheses import answers, chance, seeds_of_base, tau_less
from benchmarks.rank_settings.rank_config import RankConfig, Reference, SupernetSettings
from benchmarks.rank_settings.rank_page import make_ranks_page, write_ranks
from benchmarks.rows import finished_rows, run_rows
from scarlet_tf.arch import count
from scarlet_tf.data import open_dataset
from scarlet_tf.data.data_config import default_data_dir
from scarlet_tf.models.weights import measure_batch_norms
from scarlet_tf.training.config import train_config
from scarlet_tf.zoo import open_model

FOLDER = Path(rank_runs.__file__).parent
RESULTS = FOLDER.parents[1] / "zoo" / "results"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_configs_are_valid(path):
    config = RankConfig.read(path)
    names = [row.name for row in config.rows()]
    trainings = config.repeats * sum(map(len, config.trainings.values()))
    assert len(set(names)) == len(names) == len(config.supernets) + trainings
    assert RankConfig.from_dict(config.to_dict()) == config


def test_supernets_hold_what_differs_from_the_base(tmp_path):
    path = tmp_path / "config.json"
    supernets = {"base": {"steps": 7, "seed": 2}, "plain": {"identity": "plain", "seed": 3}}
    path.write_text(json.dumps({"supernets": supernets, "trainings": {"uniform": [2]}}))
    config = RankConfig.read(path)
    assert config.supernets["plain"] == SupernetSettings(steps=7, identity="plain", seed=3)
    trained = config.supernets["plain"].config(config.space, config.data(data_dir=None))
    assert [options[-1].kind for options in trained.space.layer_choices] == ["identity"] * 6
    # The same models: without LETs, an identity is one in both spaces.
    genomes = rank_runs.genomes_of(config, "uniform")
    assert [trained.space.spec(g) for g in genomes] == [config.space.spec(g) for g in genomes]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"supernets": {"plain": {}}}, "supernets must have 'base', got plain"),
        ({"supernets": {"base": {"identity": "lets"}}}, "unknown identity 'lets'.*nearest is 'let'"),
        ({"supernets": {"base": {"steps": 1}}}, "steps must be an integer >= 2, got 1"),
        ({"supernets": {"base": {"learning_rate": 0}}}, "learning_rate must be > 0, got 0"),
        ({"supernets": {"base": {"stepps": 3}}}, "stepps"),
        ({"conditions": {}}, "unexpected keyword argument 'conditions'"),
        ({"trainings": {"uniformly": [2]}}, "unknown draw 'uniformly'.*nearest is 'uniform'"),
        ({"trainings": {}}, "needs trainings"),
        ({"trainings": {"uniform": []}}, r"draw 'uniform' must be different numbers of epochs, got \[\]"),
        ({"trainings": {"uniform": [2, 2]}}, r"must be different numbers of epochs, got \[2, 2\]"),
        ({"trainings": {"uniform": [0]}}, "epochs"),
        ({"supernets": {"base": {}, "again": {}}}, "got the same settings for 'base' and 'again'"),
        ({"repeats": 1}, "repeats must be an integer >= 2, got 1"),
        ({"blocks": 5}, "blocks must be 12 or 4, got 5"),
    ],
)
def test_bad_configs_are_named(tmp_path, change, words):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(json.loads((FOLDER / "short.json").read_text()) | change))
    with pytest.raises(ValueError, match=f"bad.json is not a config of this experiment: .*{words}"):
        RankConfig.read(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"it lacks 'supernets'"):
        RankConfig.read(path)


def test_settings_of_a_row_are_those_that_it_depends_on():
    config = RankConfig.read(FOLDER / "main.json")
    rows = {row.name: row for row in config.rows()}
    supernet = config.settings(rows["supernet/short"])
    assert supernet["steps"] == 500 and supernet["draws"] == ["uniform", "madds"] and "epochs" not in supernet
    assert supernet["garment_pairs"] == str(pairs_builder.GarmentPairs.VERSION)
    alone = config.settings(rows["alone/madds/2_epochs/1"])
    assert alone["draw"] == "madds" and "steps" not in alone
    assert alone["training"] == train_config("small", epochs=2, seed=1, measured_images=0).to_dict()
    trained = [rows[f"alone/uniform/2_epochs/{seed}"].training for seed in range(2)]
    # The recorded accuracies with moving statistics can only be made again without measured ones.
    assert [(each.seed, each.epochs, each.measured_images) for each in trained] == [(0, 2, 0), (1, 2, 0)]


UNIFORM = Reference(draw="uniform", epochs=2)
MADE = {"date": "2026-11-29", "machine": {"cores": 2}}


def scripted(config, noise) -> dict:
    """A result in which one-shot accuracy is accuracy alone with noise of a scale for each supernet."""
    rng = np.random.default_rng(0)
    rows, true = {}, {draw: rng.uniform(0.3, 0.5, 24) for draw in config.trainings}
    for reference in (each for each in config.references() if each.measured):
        madds = rng.permutation(24).tolist()
        for seed in range(2):
            test, measured = ((true[reference.draw] + rng.normal(0, scale, 24)).tolist() for scale in (0.01, 0.001))
            rows[f"{reference.rows}/{seed}"] = {"made": MADE, "test": test, "test_measured": measured, "madds": madds}
    for label, scale in noise.items():
        measured = {draw: (quality + rng.normal(0, scale, 24)).tolist() for draw, quality in true.items()}
        one_shot = {
            draw: {"moving": rng.uniform(0, 1, 24).tolist(), "recalibrated": values}
            for draw, values in measured.items()
        }
        rows[f"supernet/{label}"] = {"made": MADE, "one_shot": one_shot}
    return {"command": "c", "config": config.to_dict(), "rows": rows}


NOISE = {"base": 0.003, "seed_1": 0.003, "seed_2": 0.003, "short": 0.3, "long": 0.003, "plain": 0.1}


def test_hypotheses_are_answered_with_the_sign_of_their_claim():
    config = RankConfig.read(FOLDER / "main.json")
    assert seeds_of_base(config) == ["base", "seed_1", "seed_2"]
    result = scripted(config, NOISE)
    found = list(answers(result, config, UNIFORM))
    assert [(a.number, a.claim) for a in found[1:4]] == [
        ("H2", "long ranks better than base"),
        ("H2", "base ranks better than short"),
        ("H4", "base ranks better than plain"),
    ]
    said = [answer.said for answer in found]
    assert said == ["shown", "undecided: seeds differ as much", "shown", "shown", "shown", "shown"]
    worse = scripted(config, NOISE | {"long": 0.3})
    assert [a.said for a in answers(worse, config, UNIFORM)][1] == "refuted"
    # Where seeds differ by more, no supernet is shown to be better.
    chancy = scripted(config, NOISE | {"seed_1": 3.0, "short": 0.03, "plain": 0.03})
    assert chance(chancy, config, UNIFORM) > 0.5
    assert {a.said for a in list(answers(chancy, config, UNIFORM))[1:4]} == {"undecided: seeds differ as much"}
    del chancy["config"]["supernets"]["seed_1"], chancy["config"]["supernets"]["seed_2"]
    one_seed = RankConfig.from_dict(chancy["config"])
    assert {a.said for a in list(answers(chancy, one_seed, UNIFORM))[1:4]} == {"undecided: one seed"}


def test_page_has_taus_differences_and_ceiling():
    config = RankConfig.read(FOLDER / "main.json")
    result = scripted(config, NOISE)
    rows = result["rows"]
    rows["supernet/long"]["one_shot"]["madds"]["recalibrated"] = [0.01] * 24
    page = make_ranks_page(result, picture="result.svg")
    titles = [line.split(", ", 1)[1] for line in page.splitlines() if line.startswith("## ")]
    assert titles[1] == "drawn uniformly, 2 epochs, measured statistics" and len(titles) == 4
    first, second = page.split("\n## ")[1:3]
    measured = kendalltau(*(rows[f"alone/uniform/2_epochs/{seed}"]["test_measured"] for seed in range(2))).statistic
    assert f"| ceiling: two trainings | {measured:.3f} [" in second
    trainings = [rows[f"alone/uniform/2_epochs/{seed}"]["test"] for seed in range(2)]
    alone = np.mean(trainings, axis=0)

    def tau(values):
        return kendalltau(values, alone).statistic

    by_short = rows["supernet/short"]["one_shot"]["uniform"]
    means = ", ".join(f"{np.mean(by_short[bn]):.3f}" for bn in ("moving", "recalibrated"))
    line = next(line for line in first.splitlines() if line.startswith("| short: steps 500 |"))
    moving, recalibrated = tau(by_short["moving"]), tau(by_short["recalibrated"])
    assert f"| {moving:.3f} [" in line and f"| {recalibrated:.3f} [" in line and line.endswith(f"| {means} |")
    assert f"| multiply-adds alone | {tau(rows['alone/uniform/2_epochs/0']['madds']):.3f} [" in first
    ceiling = kendalltau(*trainings).statistic
    assert f"| ceiling: two trainings | {ceiling:.3f} [" in first
    of_seeds = [rows[f"supernet/{label}"]["one_shot"]["uniform"] for label in ("base", "seed_1", "seed_2")]
    pairs = itertools.product((values["recalibrated"] for values in of_seeds), trainings)
    by_one = np.mean([kendalltau(*pair).statistic for pair in pairs])
    assert f"| base with one training, as the ceiling is | | {by_one:.3f} [" in first
    assert f"| | base with one training, less the ceiling | {by_one - ceiling:.3f} [" in first
    madds = rows["alone/uniform/2_epochs/0"]["madds"]
    by_madds = np.mean([tau(values["recalibrated"]) for values in of_seeds]) - tau(madds)
    by_moving = np.mean([tau(values["recalibrated"]) - tau(values["moving"]) for values in of_seeds])
    assert f"| H5 | base ranks better than multiply-adds alone | {by_madds:.3f} [" in first
    assert f"| H3 | recalibrated statistics rank better than moving ones | {by_moving:.3f} [" in first
    better = next(line for line in first.splitlines() if line.startswith("| H2 | base ranks better than short |"))
    assert f" {tau(of_seeds[0]['recalibrated']) - recalibrated:.3f} [" in better and better.endswith("| shown |")
    long = [line for line in page.splitlines() if line.startswith("| H2 | long ranks better than base |")]
    assert [line.endswith("| no order | no order |") for line in long] == 2 * [False] + 2 * [True]
    assert "| | largest difference between base, seed_1, seed_2 |" in page


def test_differences_of_tau_are_paired():
    rng = np.random.default_rng(0)
    alone = rng.normal(size=40)
    noisy = alone + rng.normal(size=40)
    same = tau_less([noisy], alone, [noisy + 1])
    assert (same.value, same.low, same.high) == (0, 0, 0)
    better = tau_less([alone + 0.1 * rng.normal(size=40)], alone, [noisy])
    assert 0 < better.low < better.value < better.high
    assert tau_less([alone], alone, goal=0.5).value == pytest.approx(0.5)
    assert tau_less([np.ones(40)], alone) is None


def test_recorded_page_is_that_of_the_recorded_rows():
    result = json.loads((RESULTS / "rank_settings.json").read_text())
    config = RankConfig.read(FOLDER / "main.json")
    assert list(finished_rows([RESULTS / "rank_settings.json"], config)) == [row.name for row in config.rows()]
    assert make_ranks_page(result, picture="rank_settings.svg") == (RESULTS / "rank_settings.md").read_text()


@pytest.mark.slow
def test_a_short_run_resumes_and_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs_builder, "NUM_EXAMPLES", {"train": 200, "test": 20})
    (tmp_path / "fashion_mnist").symlink_to(default_data_dir() / "fashion_mnist")
    pairs_builder.prepare_garment_pairs(tmp_path)
    config, output = RankConfig.read(FOLDER / "short.json"), tmp_path / "runs"
    run = functools.partial(rank_runs.run_row, config, data_dir=str(tmp_path))
    alone = run_rows(config, run, output, only="alone/uniform/0.01_epochs/1")
    results = run_rows(config, run, output)
    assert results["alone/uniform/0.01_epochs/1"] == alone["alone/uniform/0.01_epochs/1"]
    found = results["alone/uniform/0.01_epochs/0"]
    assert len(found["test"]) == len(found["test_measured"]) == 3
    folder = output / "alone/uniform/0.01_epochs/0/models" / "_".join(map(str, found["genomes"][1])) / "seed_0"
    data = open_dataset(config.data(data_dir=str(tmp_path)))
    model = open_model(folder).model
    measure_batch_norms(model, data.sample_batches(128, limit=2048))
    images, labels = data.arrays("test")
    assert found["test_measured"][1] == pytest.approx(np.mean(np.argmax(model(images), axis=1) == labels))
    assert found["madds"] == [count(config.space.spec(genome)).madds for genome in found["genomes"]]
    accuracies = results["supernet/plain"]["one_shot"]["uniform"]
    assert set(accuracies) == {"moving", "recalibrated"} and len(accuracies["moving"]) == 3
    (output / "alone/uniform/0.01_epochs/0/row.json").unlink()  # the trainings are not run again
    assert run_rows(config, run, output) == results
    other = RankConfig.from_dict(config.to_dict() | {"held_out": 40})
    with pytest.raises(ValueError, match=r"rows with other settings \(held_out was 50, is 40\)"):
        run_rows(other, run, output, only="alone/uniform/0.01_epochs/0")
    page = write_ranks(tmp_path / "result", config, results, command="c")
    assert "| plain: identity plain |" in page and (tmp_path / "result.svg").stat().st_size > 1000
