import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from scarlet_tf.data import open_dataset
from scarlet_tf.reproduce import Figure1Config, run_figure1, write_figure1
from scarlet_tf.reproduce.figure1 import ARMS, Arm, compare
from scarlet_tf.reproduce.pages import make_figure1_page
from scarlet_tf.reproduce.probe import PathProbe, read_probe
from scarlet_tf.supernet import PathEvaluator, Supernet, load_supernet

STEPS = np.array([10, 20])
GENOMES = np.array([[12, 0], [0, 12], [3, 4], [5, 6]])


def arm(*last):
    """(seeds, 2, 4) accuracies that end as given."""
    accuracies = np.stack([np.stack([np.full(4, 0.1), np.array(values)]) for values in last])
    return Arm(genomes=GENOMES, steps=STEPS, accuracies=accuracies)


def test_comparison_is_paired_by_seed_and_apart_for_paths_with_identities():
    arms = {
        "let": arm([0.8, 0.8, 0.8, 0.8], [0.6, 0.6, 0.6, 0.6]),
        "plain": arm([0.5, 0.5, 0.9, 0.9], [0.2, 0.2, 0.6, 0.6]),
        "none": arm([0.9, 0.9, 0.9, 0.9], [0.7, 0.7, 0.7, 0.7]),
    }
    found = compare(arms, baseline="plain")
    assert found["mean"].value == pytest.approx((0.1 + 0.2) / 2)
    assert (found["mean"].low, found["mean"].high) == pytest.approx((0.1, 0.2))
    assert found["spread"].value == pytest.approx(-0.2)
    assert found["mean_of_paths_with_identity"].value == pytest.approx((0.3 + 0.4) / 2)
    assert found["mean_of_paths_without_identity"].value == pytest.approx((-0.1 + 0.0) / 2)
    found = compare(arms, baseline="none")
    assert set(found) == {"mean", "spread"}
    assert (found["mean"].low, found["mean"].high) == pytest.approx((-0.1, -0.1))


def test_result_holds_curves_differences_and_a_picture(tmp_path, tiny_data):
    arms = {name: arm([0.5, 0.6, 0.7, 0.8], [0.4, 0.5, 0.6, 0.7]) for name in ARMS}
    page = write_figure1(tmp_path, Figure1Config(data=tiny_data), arms, command="python tools/reproduce.py --figure=1")
    assert page == (tmp_path / "figure1.md").read_text()
    assert "    python tools/reproduce.py --figure=1\n" in page
    assert "| plain identity | 0.600 | 0.112 | 0.450 |" in page
    assert "| mean | 0.000 [0.000, 0.000] | 0.000 [0.000, 0.000] | 0.000 [0.000, 0.000] |" in page
    assert "| 0 | 2 | 0.700 | 0.700 | 0.700 |\n| 1 | 2 | 0.500 | 0.500 | 0.500 |\n" in page
    result = json.loads((tmp_path / "figure1.json").read_text())
    assert result["arms"]["let"]["steps"] == [10, 20]
    np.testing.assert_allclose(result["arms"]["let"]["mean"], [[0.1, 0.65], [0.1, 0.55]])
    np.testing.assert_allclose(result["arms"]["none"]["last_accuracies"][1], [0.4, 0.5, 0.6, 0.7])
    assert result["let_less"]["plain"]["spread"]["value"] == 0
    picture = (tmp_path / "figure1.svg").read_text()
    assert picture.count("<polyline") == 2 * len(ARMS) and picture.count("<polygon") == 3 * len(ARMS)


@pytest.mark.parametrize("name", ["figure1", "figure1_double"])
def test_recorded_page_is_that_of_the_recorded_numbers(name):
    recorded = Path(__file__).parents[2] / "zoo" / "results" / f"{name}.json"
    page = make_figure1_page(json.loads(recorded.read_text()), picture=f"{name}.svg")
    assert page == recorded.with_suffix(".md").read_text()


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
        warmup_steps=0,
        paths=3,
        images=8,
        measurements=2,
    )
    arms = run_figure1(config, tmp_path)
    assert set(arms) == set(config.arms)
    for name in config.arms:
        assert arms[name].steps.tolist() == [1, 2]
        assert arms[name].accuracies.shape == (1, 2, 3)
        trained = load_supernet(tmp_path / f"{name}_seed4")
        assert trained.config.seed == 4
        assert trained.space == dataclasses.replace(tiny_space, identity=name)
        images, labels = open_dataset(tiny_data).arrays("train", limit=8)
        evaluator = PathEvaluator(trained.supernet, bn="recalibrated", calibration=images)
        expected = evaluator.accuracies(arms[name].genomes, images, labels)
        np.testing.assert_array_equal(arms[name].accuracies[0, -1], expected)
    again = run_figure1(config, tmp_path)
    np.testing.assert_array_equal(again["none"].accuracies, arms["none"].accuracies)


def test_settings_that_do_not_fit_are_refused(tiny_data):
    with pytest.raises(ValueError, match=r"3 measurements do not divide 400 steps"):
        Figure1Config(data=tiny_data, measurements=3)
    with pytest.raises(ValueError, match=r"'plane'.*nearest is 'plain'"):
        Figure1Config(data=tiny_data, arms=("let", "plane"))
    with pytest.raises(ValueError, match=r"'let' among them, got plain,none"):
        Figure1Config(data=tiny_data, arms=("plain", "none"))
    with pytest.raises(ValueError, match=r"'depe'.*nearest is 'deep'"):
        Figure1Config(data=tiny_data, space="depe")
    with pytest.raises(ValueError, match=r"seeds must be >= 1, got 0"):
        Figure1Config(data=tiny_data, seeds=0)
