import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figure1.figure1_arms import Arm, PathProbe, compare, read_probe, run_figure1, supernet_config
from benchmarks.figure1.figure1_config import ARMS, Figure1Config
from benchmarks.figure1.figure1_page import draw_figure1, make_figure1_page, write_figure1
from benchmarks.intervals import t_interval
from benchmarks.stand_in_spaces import SPACES
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.supernet import PathEvaluator, Supernet, load_supernet

STEPS = np.array([10, 20])
GENOMES = np.array([[12, 0], [0, 12], [3, 4], [5, 6]])


def arm(*last, without_identity=None):
    """(seeds, 2, 4) accuracies on 300 images that end as given, of the common paths without an identity too."""
    return Arm(
        genomes=GENOMES,
        steps=STEPS,
        accuracies=curves(last),
        without_identity=curves(without_identity or last),
        images=300,
    )


def curves(last):
    return np.stack([np.stack([np.full(4, 0.1), np.array(values)]) for values in last])


def test_comparison_is_paired_by_seed_and_apart_for_paths_with_identities():
    arms = {
        "let": arm(
            [0.8, 0.8, 0.8, 0.8],
            [0.6, 0.6, 0.6, 0.6],
            without_identity=([0.9, 0.7, 0.9, 0.7], [0.7, 0.5, 0.7, 0.5]),
        ),
        "plain": arm([0.5, 0.5, 0.9, 0.9], [0.2, 0.2, 0.6, 0.6]),
        "none": arm([0.9, 0.9, 0.9, 0.9], [0.7, 0.7, 0.7, 0.7]),
    }
    found = compare(arms, baseline="plain")
    assert found["mean"].value == pytest.approx((0.1 + 0.2) / 2)
    margin = 12.706 * 0.05  # Student's t for one degree of freedom
    assert (found["mean"].low, found["mean"].high) == pytest.approx((0.15 - margin, 0.15 + margin), abs=1e-4)
    assert found["spread"].value == pytest.approx(-0.2)
    assert found["mean_of_paths_with_identity"].value == pytest.approx((0.3 + 0.4) / 2)
    assert found["mean_of_paths_without_identity"].value == pytest.approx((-0.1 + 0.0) / 2)
    found = compare(arms, baseline="none")
    assert set(found) == {"mean", "spread"}
    assert (found["mean"].low, found["mean"].high) == pytest.approx((-0.1, -0.1))
    assert found["spread"].value == pytest.approx(0.1)  # of the common paths; the random ones have none
    one = {"let": arm([0.8, 0.6, 0.8, 0.6]), "none": arm([0.5, 0.5, 0.5, 0.5])}
    assert str(compare(one, baseline="none")["mean"]) == "0.200 (one seed)"


def test_result_holds_curves_differences_and_a_chart(tmp_path, tiny_data):
    arms = {name: arm([0.5, 0.6, 0.7, 0.8], [0.4, 0.5, 0.6, 0.7]) for name in ARMS}
    page = write_figure1(tmp_path, Figure1Config(data=tiny_data), arms, command="python tools/reproduce.py --figure=1")
    assert page == (tmp_path / "figure1.md").read_text()
    assert "    python tools/reproduce.py --figure=1\n" in page
    assert "| plain identity | 0.600 | 0.112 | 0.450 |" in page
    assert "400 fair steps of batch 32 (50 of them warm-up), learning rate 0.2." in page
    assert "95 % Student's t intervals over the seeds, in pairs. A supernet without identities" in page
    assert "| mean | 0.000 [0.000, 0.000] | 0.000 [0.000, 0.000] | 0.000 [0.000, 0.000] |" in page
    assert "| 0 | 2 | 0.700 | 0.700 | 0.700 |\n| 1 | 2 | 0.500 | 0.500 | 0.500 |\n" in page
    result = json.loads((tmp_path / "figure1.json").read_text())
    assert result["arms"]["let"]["steps"] == [10, 20]
    np.testing.assert_allclose(result["arms"]["let"]["mean"], [[0.1, 0.65], [0.1, 0.55]])
    np.testing.assert_allclose(result["arms"]["none"]["last_accuracies"][1], [0.4, 0.5, 0.6, 0.7])
    np.testing.assert_allclose(result["arms"]["let"]["last_without_identity"][1], [0.4, 0.5, 0.6, 0.7])
    assert np.shape(result["genomes_without_identity"]) == (39, 6) and np.max(result["genomes_without_identity"]) < 12
    assert result["config"]["warmup_steps"] == 50 and result["config"]["images"] == 300
    assert "Measured: 39 random paths on 300 training images" in page
    assert result["let_less"]["plain"]["spread"]["value"] == 0
    assert "; seeds 0 to 2." in page
    one = result | {"config": result["config"] | {"seeds": 1, "first_seed": 7}}
    page = make_figure1_page(one, picture="figure1.svg")
    assert "; seed 7." in page and "\nOne seed gives no intervals. A supernet without" in page
    assert sorted(path.name for path in tmp_path.glob("figure1.*")) == [
        "figure1.json",
        "figure1.md",
        "figure1.png",
        "figure1.svg",
    ]
    figure = draw_figure1(result)
    means, spreads, last = figure.axes
    for axes in (means, spreads):
        assert len(axes.lines) == len(axes.collections) == len(ARMS)
        assert axes.lines[0].get_xdata().tolist() == [10, 20]
    np.testing.assert_allclose(means.lines[0].get_ydata(), [0.1, 0.6])
    np.testing.assert_allclose(spreads.lines[0].get_ydata(), [0, np.std([0.5, 0.6, 0.7, 0.8])], atol=1e-12)
    assert len(last.patches) == 2 * len(ARMS)  # area and outline
    assert all(steps.get_data().values.sum() == pytest.approx(1) for steps in last.patches)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["LET, starts as identity", "LET, starts at random", "plain identity", "no identity"]


@pytest.mark.parametrize("name", ["figure1", "figure1_double"])
def test_recorded_page_is_that_of_the_recorded_numbers(name):
    recorded = Path(__file__).parents[2] / "zoo" / "results" / f"{name}.json"
    result = json.loads(recorded.read_text())
    assert make_figure1_page(result, picture=f"{name}.svg") == recorded.with_suffix(".md").read_text()
    last = {arm: np.array(found["last_accuracies"]) for arm, found in result["arms"].items()}
    for arm, found in result["arms"].items():
        np.testing.assert_allclose(np.array(found["mean"])[:, -1], last[arm].mean(axis=1))
        np.testing.assert_allclose(np.array(found["spread"])[:, -1], last[arm].std(axis=1))
    assert "plain" in result["let_less"]
    for arm, less in result["let_less"].items():
        if arm == "none":
            last = {name: np.array(found["last_without_identity"]) for name, found in result["arms"].items()}
        for what, statistic in (("mean", np.mean), ("spread", np.std)):
            differences = statistic(last["let"], axis=1) - statistic(last[arm], axis=1)
            assert less[what] == pytest.approx(dataclasses.asdict(t_interval(differences)))
    skipping = (np.array(result["arms"]["let"]["genomes"]) == 12).any(axis=1)
    last = {arm: np.array(found["last_accuracies"]) for arm, found in result["arms"].items()}
    for what, chosen in (("with", skipping), ("without", ~skipping)):
        differences = (last["let"] - last["plain"])[:, chosen].mean(axis=1)
        expected = dataclasses.asdict(t_interval(differences))
        assert result["let_less"]["plain"][f"mean_of_paths_{what}_identity"] == pytest.approx(expected)


def test_probe_measures_every_few_steps_and_again_after_a_resume(tmp_path, tiny_space, tiny_data):
    images, labels = open_dataset(tiny_data).arrays("train", limit=8)
    supernet, genomes = Supernet(tiny_space), np.array([[12, 0], [3, 12]])
    probe = PathProbe(tmp_path / "paths.jsonl", genomes=genomes, images=images, labels=labels, every=2)
    for step in (1, 2, 3, 4):
        probe(step, supernet)
    expected = PathEvaluator(supernet, bn="recalibrated", calibration=images).accuracies(genomes, images, labels)
    steps, accuracies = read_probe(probe.path)
    assert steps.tolist() == [2, 4]
    np.testing.assert_array_equal(accuracies, np.stack([expected, expected]))
    probe(2, supernet)
    assert read_probe(probe.path)[0].tolist() == [2]
    for damaged in ("", '{"step": 2, "accuracies": [0.1]}\n', "{"):
        (tmp_path / "damaged.jsonl").write_text(damaged)
        with pytest.raises(ValueError, match=r"damaged.jsonl is not a record of measured paths"):
            PathProbe(tmp_path / "damaged.jsonl", genomes=genomes, images=images, labels=labels, every=2)
    with pytest.raises(ValueError, match=r"must be >= 1, got 0"):
        PathProbe(tmp_path / "x", genomes=genomes, images=images, labels=labels, every=0)


@pytest.mark.slow
def test_arms_are_trained_and_measured_at_the_same_steps(tmp_path, tiny_space, tiny_data, uncompiled):
    config = Figure1Config(
        data=tiny_data,
        arms=("let", "none"),
        seeds=1,
        first_seed=4,
        steps=2,
        batch_size=8,
        paths=3,
        images=30,
        measurements=2,
    )
    arms = run_figure1(config, tmp_path)
    assert set(arms) == set(config.arms)
    for name in config.arms:
        assert arms[name].steps.tolist() == [1, 2] and arms[name].images == 20  # all that there are
        assert arms[name].accuracies.shape == (1, 2, 3)
        trained = load_supernet(tmp_path / f"{name}_seed4")
        assert trained.config.seed == 4
        assert trained.space == tiny_space.with_identity(ARMS[name][0])
        images, labels = open_dataset(tiny_data).arrays("train")
        evaluator = PathEvaluator(trained.supernet, bn="recalibrated", calibration=images)
        for genomes, accuracies in (
            (arms[name].genomes, arms[name].accuracies),
            (config.genomes_without_identity(), arms[name].without_identity),
        ):
            np.testing.assert_array_equal(accuracies[0, -1], evaluator.accuracies(genomes, images, labels))
    again = run_figure1(config, tmp_path)
    np.testing.assert_array_equal(again["none"].accuracies, arms["none"].accuracies)
    with pytest.raises(ValueError, match=r"let_seed4/paths.jsonl was measured with other images: 20 \(.*\), now 4 \("):
        run_figure1(dataclasses.replace(config, images=4), tmp_path)
    with pytest.raises(ValueError, match=r"other paths: 6 \(.*\), now 4 \("):
        run_figure1(dataclasses.replace(config, paths=2), tmp_path)
    with pytest.raises(ValueError, match=r"other interval: 1 steps, now 2 steps"):
        run_figure1(dataclasses.replace(config, measurements=1), tmp_path)


@pytest.mark.parametrize("space", SPACES)
def test_supernets_have_the_classes_of_the_data(tmp_path, bright_images, monkeypatch, space):
    class Begun(Exception):
        """Holds the settings that a supernet would be trained with."""

    def train(config, *_, **__):
        raise Begun(config)

    monkeypatch.setattr("benchmarks.figure1.figure1_arms.train_supernet", train)
    data = DataConfig(name=f"folder:{bright_images(side=32, classes=3, train=2, test=1)}", image_size=32)
    with pytest.raises(Begun) as begun:
        run_figure1(Figure1Config(data=data, space=space), tmp_path)
    (settings,) = begun.value.args
    assert settings.space.classes == 3 and settings.space.resolution == 32


def test_all_arms_measure_the_same_paths_without_an_identity(tiny_data):
    config = Figure1Config(data=tiny_data, paths=30)
    common = config.measured("none")
    assert common.shape == (30, 6) and common.max() == 11
    for name in ("let", "let_normal", "plain"):
        measured = config.measured(name)
        np.testing.assert_array_equal(measured[30:], common)
        np.testing.assert_array_equal(measured[:30], config.genomes("let"))
    assert (config.genomes("let") == 12).any()


def test_warm_up_is_an_eighth_of_the_steps(tiny_data):
    for steps, warmup in ((400, 50), (40, 5), (5, 0)):
        config = Figure1Config(data=dataclasses.replace(tiny_data, image_size=32), steps=steps)
        supernet = supernet_config(config, "plain", seed=2, classes=2)
        assert (supernet.warmup_steps, supernet.space.choices[0][-1].kind, supernet.seed) == (warmup, "identity", 2)
        assert max(supernet.learning_rate_at(step) for step in range(steps)) == pytest.approx(0.2)


def test_settings_that_do_not_fit_are_refused(tiny_data):
    with pytest.raises(ValueError, match=r"3 measurements do not divide 400 steps: the nearest number is 399"):
        Figure1Config(data=tiny_data, measurements=3)
    with pytest.raises(ValueError, match=r"'plane'.*nearest is 'plain'"):
        Figure1Config(data=tiny_data, arms=("let", "plane"))
    with pytest.raises(ValueError, match=r"include 'let', got plain,none"):
        Figure1Config(data=tiny_data, arms=("plain", "none"))
    with pytest.raises(ValueError, match=r"'depe'.*nearest is 'deep'"):
        Figure1Config(data=tiny_data, space="depe")
    with pytest.raises(ValueError, match=r"seeds must be >= 1, got 0"):
        Figure1Config(data=tiny_data, seeds=0)
