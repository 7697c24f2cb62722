import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from spaces import THREE_LAYER_SPACE

from benchmarks.rank import ranking
from benchmarks.rank.random_models import _stratified, draw_genomes
from benchmarks.rank.ranking import rank, tau_of_trainings
from benchmarks.rank.ranking_page import draw_ranking, make_ranking_page
from scarlet_tf.arch import count, count_genomes, get_space
from scarlet_tf.arch.space import table_1
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.supernet import Supernet, SupernetConfig, SupernetEvaluator, load_supernet


def test_genomes_are_different_and_more_models_keep_the_first():
    space = get_space("small")
    for draw in ("uniform", "depth"):
        genomes = draw_genomes(space, 60, seed=3, draw=draw)
        assert len(np.unique(genomes, axis=0)) == 60
        np.testing.assert_array_equal(draw_genomes(space, 20, seed=3, draw=draw), genomes[:20])
    identities = (draw_genomes(space, 400, seed=0, draw="depth") == 12).sum(axis=1)
    counts = np.bincount(identities, minlength=7)
    assert counts[6] == 1  # there is one such model
    assert (np.abs(counts[:6] - 400 / 6.5) < 30).all()
    assert (draw_genomes(space, 400, seed=0) == 12).mean() == pytest.approx(1 / 13, abs=0.02)
    with pytest.raises(ValueError, match=r"'dept'.*nearest is 'depth'"):
        draw_genomes(space, 4, seed=0, draw="dept")
    with pytest.raises(ValueError, match=r"2 or more models, got 1"):
        draw_genomes(space, 1, seed=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_draw_by_madds_takes_one_model_of_each_interval(seed):
    space = get_space("small", classes=100)
    genomes = draw_genomes(space, 24, seed=seed, draw="madds")
    np.testing.assert_array_equal(draw_genomes(space, 24, seed=seed, draw="madds"), genomes)
    assert len(np.unique(genomes, axis=0)) == 24
    assert not np.array_equal(draw_genomes(space, 24, seed=seed + 2, draw="madds"), genomes)
    madds, _ = count_genomes(space, genomes)
    # Neighbours are at most two widths of an interval apart, and the first is at least 22 widths from the last.
    assert (np.diff(madds) >= 0).all() and (np.diff(madds) <= 2 * (madds[-1] - madds[0]) / 22).all()
    uniform, _ = count_genomes(space, draw_genomes(space, 24, seed=seed))
    assert madds.std() > 1.5 * uniform.std()


def test_strata_hold_one_model_each_and_empty_ones_the_nearest():
    space = dataclasses.replace(THREE_LAYER_SPACE, choices=table_1())
    rng = np.random.default_rng(0)
    pool = np.unique(space.random(rng, 500), axis=0)
    madds, _ = count_genomes(space, pool)
    drawn, _ = count_genomes(space, _stratified(space, pool, 6, rng=rng))
    assert np.histogram(drawn, np.linspace(madds.min(), madds.max(), 7))[0].tolist() == [1] * 6
    # Three are in the first of five intervals, so that two intervals are empty, and get the other two of the three.
    order = np.argsort(madds)
    few = pool[order[[0, 1, 2, len(order) // 2, -1]]]
    cut = np.linspace(*madds[order[[0, -1]]], 6)
    assert np.histogram(count_genomes(space, few)[0], cut)[0].tolist().count(0) == 2
    found = _stratified(space, few, 5, rng=rng)
    np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(few, axis=0))
    with pytest.raises(ValueError, match=r"has 8 models, too few to draw 9 distinct ones"):
        draw_genomes(dataclasses.replace(space, choices=(table_1()[0][:2],)), 9, seed=0, draw="madds")


# With the paper's choices, whose paths differ more.
TINY = dataclasses.replace(THREE_LAYER_SPACE, choices=table_1())


@pytest.fixture(scope="module")
def images(bright_images) -> DataConfig:
    """Three classes of 16x16 images that differ in brightness."""
    root = bright_images(side=16, classes=3, train=20, test=4)
    return DataConfig(name=f"folder:{root}", image_size=16, search_validation=12)


@pytest.fixture(scope="module")
def rating() -> Supernet:
    """A supernet with random weights, whose paths rate images differently."""
    supernet = Supernet(TINY, seed=1)
    rng = np.random.default_rng(0)
    for variable in supernet.variables:
        name, shape = variable.name, variable.shape
        if "gamma" in name or "moving_variance" in name:
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif "_bn/" in name or "bias" in name or "/let" in name:
            variable.assign(0.3 * rng.standard_normal(shape))
    return supernet


@pytest.mark.slow
def test_ranking_trains_each_model_once_and_compares_it_with_its_path(images, rating, tmp_path, monkeypatch):
    folder = tmp_path / "supernet"
    CheckpointStore(folder, kind="supernet", fingerprint="any").save(3, rating.state())
    config = SupernetConfig(space=TINY, data=images, steps=3)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    specs, seeds = [], []

    def scripted_training(spec, data, config, *, output):
        """Accuracy by size and seed, without the training; a finished folder is not trained again."""
        output.mkdir(parents=True, exist_ok=True)
        if not (output / "done").exists():
            (output / "done").touch()
            specs.append(spec)
            seeds.append(config.seed)
            assert all(block.kind != "let" for block in spec.blocks)
            assert data.fingerprint == open_dataset(images).fingerprint
        return {"test": {"top1": count(spec).madds / 1e8 + (config.seed - 5) / 10}, "seconds": 1.0}

    monkeypatch.setattr(ranking, "train", scripted_training)
    rank(folder, tmp_path / "rank", command="c", models=2, draw="depth", seed=5)
    result = rank(folder, tmp_path / "rank", command="python rank.py", models=4, draw="depth", seed=5)
    page = (tmp_path / "rank" / "rank.md").read_text()
    assert page == make_ranking_page({"rank.svg": result}) and "\n    python rank.py\n" in page
    assert [spec.genome for spec in specs] == [tuple(model["genome"]) for model in result["models"]]
    assert json.loads((tmp_path / "rank" / "rank.json").read_text()) == result
    assert result["tau_of_madds"]["value"] == 1.0 and result["tau_of_trainings"] is None
    assert seeds == [5] * 4

    trained = load_supernet(folder)
    genomes = np.array([model["genome"] for model in result["models"]])
    alone = [count(TINY.spec(genome)).madds for genome in genomes]
    for bn in ("moving", "recalibrated"):
        expected = SupernetEvaluator(trained, bn=bn).evaluate(genomes)
        np.testing.assert_array_equal([model["one_shot"][bn] for model in result["models"]], expected)
        assert np.ptp(expected) > 0
        tau = scipy.stats.kendalltau(expected, alone).statistic
        np.testing.assert_allclose(result["tau"][bn]["value"], tau, atol=1e-12)
        assert f"| {tau:.3f} [" in page
    assert (tmp_path / "rank" / "rank.png").exists() and (tmp_path / "rank" / "rank.svg").exists()
    lines = [json.loads(line) for line in (tmp_path / "rank" / "log.jsonl").read_text().splitlines()]
    assert [line["test_top1"] for line in lines] == pytest.approx([madds / 1e8 for madds in alone])

    repeated = rank(folder, tmp_path / "rank", command="c", models=4, draw="depth", seed=5, repeats=3)
    assert seeds == [5] * 4 + [6] * 4 + [7] * 4
    for model, madds in zip(repeated["models"], alone, strict=True):
        assert model["trainings"] == pytest.approx([madds / 1e8, madds / 1e8 + 0.1, madds / 1e8 + 0.2])
        assert model["stand_alone"] == pytest.approx(np.mean(model["trainings"]))
    assert repeated["tau"] == result["tau"] and repeated["tau_of_trainings"]["value"] == 1.0


def test_tau_of_trainings_is_the_mean_over_pairs():
    trainings = np.random.default_rng(0).normal(size=(12, 3))
    pairs = [scipy.stats.kendalltau(trainings[:, a], trainings[:, b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    estimate = tau_of_trainings(trainings)
    assert estimate["value"] == pytest.approx(np.mean(pairs))
    assert estimate["low"] < estimate["value"] < estimate["high"]
    assert tau_of_trainings(np.ones((12, 2))) is None


RECORDED = ("rank_uniform", "rank_depth", "rank_depth_long")


def recorded(name):
    return json.loads((Path(__file__).parents[2] / "zoo" / "results" / f"{name}.json").read_text())


def test_recorded_page_is_that_of_the_recorded_numbers():
    page = (Path(__file__).parents[2] / "zoo" / "results" / "rank.md").read_text()
    assert make_ranking_page({f"{name}.svg": recorded(name) for name in RECORDED}) == page


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_taus_are_those_of_the_recorded_accuracies(name):
    result = recorded(name)
    models = result["models"]
    assert [m["genome"] for m in models] == draw_genomes(
        get_space("small"), len(models), seed=result["seed"], draw=result["draw"]
    ).tolist()
    trainings = np.array([m["trainings"] for m in models])
    assert trainings.shape == (len(models), result["repeats"])
    alone = [m["stand_alone"] for m in models]
    np.testing.assert_allclose(alone, trainings.mean(axis=1), atol=1e-12)
    for bn, tau in result["tau"].items():
        expected = scipy.stats.kendalltau([m["one_shot"][bn] for m in models], alone).statistic
        np.testing.assert_allclose(tau["value"], expected, atol=1e-12)
    expected = scipy.stats.kendalltau([count(get_space("small").spec(m["genome"])).madds for m in models], alone)
    np.testing.assert_allclose(result["tau_of_madds"]["value"], expected.statistic, atol=1e-12)
    if result["repeats"] == 2:
        np.testing.assert_allclose(
            result["tau_of_trainings"]["value"], scipy.stats.kendalltau(*trainings.T).statistic, atol=1e-12
        )


@pytest.mark.parametrize("name", RECORDED)
def test_chart_shows_every_model_with_both_statistics(name):
    result = recorded(name)
    panels = draw_ranking(result).axes
    assert [axes.get_title() for axes in panels] == [
        f"{bn} BN, tau {tau['value']:.3f} [{tau['low']:.3f}, {tau['high']:.3f}]" for bn, tau in result["tau"].items()
    ]
    for axes, bn in zip(panels, result["tau"], strict=True):
        points = [[model["one_shot"][bn], model["stand_alone"]] for model in result["models"]]
        assert axes.lines[0].get_xydata().tolist() == points
