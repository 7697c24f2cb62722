import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figure6.figure6_page import draw_figure6, make_figure6_page, write_figure6
from benchmarks.figure6.figure6_searches import (
    UNCONSTRAINED,
    Figure6Config,
    SearchArm,
    arm_archive,
    compare_identity,
    run_figure6,
)
from benchmarks.intervals import t_interval
from benchmarks.uniform import evaluate_uniform
from scarlet_tf.arch import get_space
from scarlet_tf.search import ArchiveError, search_history

SPACE = get_space("small")
CONFIG = Figure6Config(quantiles=(0.5, 0.25), draws=40, population=10, generations=4, seeds=2)
SUPERNET = {
    "fingerprint": "abc",
    "step": 30,
    "config": {"space": {"name": "small"}, "data": {"name": "flowers"}, "steps": 40, "batch_size": 8},
}
EVALUATION = {"bn": "recalibrated", "images": 100, "calibration_images": 50}


class ByIdentities:
    """Every identity costs accuracy, a little more of it in earlier layers."""

    fingerprint = "by-identities"

    def __init__(self):
        self.evaluated = 0

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        self.evaluated += len(genomes)
        return 0.9 - (genomes == 12) @ np.linspace(0.12, 0.08, 6) - 0.001 * genomes.sum(axis=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("figure6")
    return output, run_figure6(CONFIG, output, space=SPACE, evaluator=ByIdentities())


def test_bounds_are_quantiles_of_uniform_models(finished):
    output, arms = finished
    assert list(arms) == [UNCONSTRAINED, "quantile_0.5", "quantile_0.25"]
    genomes, accuracies = evaluate_uniform(
        SPACE, ByIdentities(), path=output / "uniform.json", count=CONFIG.draws, seed=1000
    )
    np.testing.assert_array_equal(accuracies, ByIdentities().evaluate(genomes))
    assert [arm.accuracy_above for arm in arms.values()] == [
        None,
        np.quantile(accuracies, 0.5),
        np.quantile(accuracies, 0.25),
    ]


def test_a_least_accuracy_keeps_identities_out(finished):
    _, arms = finished
    for name, arm in arms.items():
        assert arm.identity_share.shape == (2, 5)
        if name != UNCONSTRAINED:
            assert (arm.accuracy_range[:, 0] > arm.accuracy_above).all()
            assert compare_identity(arms, constrained=name)["final_population"].value > 0.1
    free = arms[UNCONSTRAINED]
    assert (free.identity_share[:, -1] > free.identity_share[:, 0]).all()
    assert (free.accuracy_range[:, 0] < arms["quantile_0.5"].accuracy_above).all()


def test_fronts_rise_in_accuracy_with_madds_and_nothing_beats_them(finished):
    _, arms = finished
    for arm in arms.values():
        for front, search in zip(arm.fronts(), arm.searches, strict=True):
            everyone = search.final.models.values
            accuracy, madds = front.values["accuracy"], front.values["madds"]
            assert (np.diff(madds) >= 0).all() and (np.diff(accuracy) >= 0).all()
            assert accuracy[-1] == everyone["accuracy"].max() and madds[0] == everyone["madds"].min()
            better = (everyone["accuracy"] > accuracy[:, None]) & (everyone["madds"] <= madds[:, None])
            assert not better.any()


class _Shares:
    def __init__(self, *shares):
        self.identity_share = np.array(shares)


def test_difference_is_paired_by_seed():
    arms = {
        UNCONSTRAINED: SearchArm(accuracy_above=None, searches=(_Shares(0.1, 0.2, 0.3), _Shares(0.1, 0.3, 0.5))),
        "quantile_0.5": SearchArm(accuracy_above=0.4, searches=(_Shares(0.1, 0.1, 0.1), _Shares(0.1, 0.2, 0.0))),
    }
    found = compare_identity(arms, constrained="quantile_0.5")
    last, mean = found["final_population"], found["mean_over_generations"]
    t = 12.7062  # Student's, for one degree of freedom
    assert (last.value, last.low, last.high) == pytest.approx((0.35, 0.35 - 0.15 * t, 0.35 + 0.15 * t), abs=1e-4)
    assert (mean.value, mean.low, mean.high) == pytest.approx((0.15, 0.15 - 0.05 * t, 0.15 + 0.05 * t), abs=1e-4)


def test_called_again_it_evaluates_nothing_and_goes_on_with_what_is_missing(tmp_path):
    small = {"draws": 20, "population": 6, "generations": 2}
    first = run_figure6(Figure6Config(**small, seeds=1), tmp_path, space=SPACE, evaluator=ByIdentities())
    idle = ByIdentities()
    again = run_figure6(Figure6Config(**small, seeds=1), tmp_path, space=SPACE, evaluator=idle)
    assert idle.evaluated == 0
    for name in first:
        np.testing.assert_array_equal(first[name].identity_share, again[name].identity_share)
    more = run_figure6(Figure6Config(**small, seeds=2, quantiles=(0.5, 0.1)), tmp_path, space=SPACE, evaluator=idle)
    np.testing.assert_array_equal(more[UNCONSTRAINED].identity_share[0], first[UNCONSTRAINED].identity_share[0])
    assert idle.evaluated >= 4 * 4 * 6  # four more searches, of 2 + 2 populations
    assert len(search_history(arm_archive(tmp_path, "quantile_0.1", 1)).generations) == 3
    other = ByIdentities()
    other.fingerprint = "another"
    with pytest.raises(ValueError, match=r"uniform.json: its models are of another evaluator: 'by-identities'"):
        run_figure6(Figure6Config(**small), tmp_path, space=SPACE, evaluator=other)
    with pytest.raises(ArchiveError, match=r"its settings.population was 6, is 7"):
        run_figure6(Figure6Config(**small | {"population": 7}), tmp_path, space=SPACE, evaluator=idle)


def test_result_holds_curves_differences_a_chart_and_a_page(finished, tmp_path):
    _, arms = finished
    command = "python tools/reproduce.py --figure=6"
    page = write_figure6(tmp_path, CONFIG, arms, supernet=SUPERNET, evaluation=EVALUATION, command=command)
    assert page == (tmp_path / "figure6.md").read_text()
    assert 'The supernet (abc): space "small", flowers, 30 of 40 fair steps of batch 8.\n' in page
    assert "is on 100 images held out for the search, BN recalibrated on 50 training images." in page
    bound, share = arms["quantile_0.5"].accuracy_above, arms["quantile_0.5"].identity_share
    assert f"{bound:.4g} (quantile 0.5), " in page and "seeds 0 to 1" in page
    assert f"| accuracy > {bound:.4g} | {share[:, 0].mean():.3f} | {share[:, -1].mean():.3f} |" in page
    result = json.loads((tmp_path / "figure6.json").read_text())
    assert result["config"]["quantiles"] == [0.5, 0.25] and result["evaluation"] == EVALUATION
    assert result["supernet"] == SUPERNET
    np.testing.assert_allclose(result["arms"]["quantile_0.5"]["identity_share"], share)
    less = arms[UNCONSTRAINED].identity_share - share
    difference = result["identity_share_without_less_with"]["quantile_0.5"]
    assert difference["final_population"]["value"] == pytest.approx(less[:, -1].mean())
    assert difference["mean_over_generations"]["value"] == pytest.approx(less.mean())
    assert (tmp_path / "figure6.svg").exists() and (tmp_path / "figure6.png").exists()
    figure = draw_figure6(result)
    fronts, shares = figure.axes
    for points, line, arm in zip(fronts.lines, shares.lines, arms.values(), strict=True):
        members = [front.values for front in arm.fronts()]
        np.testing.assert_allclose(points.get_xdata(), np.concatenate([front["madds"] for front in members]) / 1e6)
        np.testing.assert_allclose(points.get_ydata(), np.concatenate([front["accuracy"] for front in members]))
        np.testing.assert_allclose(line.get_ydata(), arm.identity_share.mean(axis=0))
    assert figure.legends[0].get_texts()[0].get_text() == "no constraint"


def test_recorded_page_is_that_of_the_recorded_numbers():
    recorded = Path(__file__).parents[2] / "zoo" / "results" / "figure6.json"
    result = json.loads(recorded.read_text())
    assert make_figure6_page(result) == recorded.with_suffix(".md").read_text()
    shares = {name: np.array(arm["identity_share"]) for name, arm in result["arms"].items()}
    assert list(shares) == [UNCONSTRAINED, *result["identity_share_without_less_with"]]
    for name, found in result["identity_share_without_less_with"].items():
        less = shares[UNCONSTRAINED] - shares[name]
        assert found["final_population"] == pytest.approx(dataclasses.asdict(t_interval(less[:, -1])))
        assert found["mean_over_generations"] == pytest.approx(dataclasses.asdict(t_interval(less.mean(axis=1))))


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1.0"):
        Figure6Config(quantiles=(1.0,))
    with pytest.raises(ValueError, match=r"one or more numbers that differ in six digits, got \[\]"):
        Figure6Config(quantiles=())
    with pytest.raises(ValueError, match=r"in six digits, got \[0.5, 0.5000001\]"):
        Figure6Config(quantiles=(0.5, 0.5000001))  # one name for both arms
    with pytest.raises(ValueError, match=r"draws must be >= 1, got 0"):
        Figure6Config(draws=0)
    with pytest.raises(ValueError, match=r"population must be an integer >= 2, got 1"):
        Figure6Config(population=1)
    with pytest.raises(ValueError, match=r"generations must be an integer >= 1, got 0"):
        Figure6Config(generations=0)
