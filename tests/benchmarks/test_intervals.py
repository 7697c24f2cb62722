import doctest

import numpy as np
import pytest

from benchmarks import intervals
from benchmarks.intervals import Estimate, bootstrap, t_interval, verdict, verdict_equal


def test_interval_of_a_mean_is_that_of_the_normal_approximation():
    samples = np.random.default_rng(0).normal(3.0, 2.0, 400)
    estimate = bootstrap(np.mean, samples, resamples=4000)
    error = samples.std() / np.sqrt(400)
    assert estimate.value == samples.mean()
    assert estimate.low == pytest.approx(samples.mean() - 1.96 * error, abs=0.03)
    assert estimate.high == pytest.approx(samples.mean() + 1.96 * error, abs=0.03)
    assert estimate == bootstrap(np.mean, samples, resamples=4000)
    assert estimate != bootstrap(np.mean, samples, resamples=4000, seed=1)


def test_three_samples_give_nearly_their_range():
    """The ends of the interval are the extreme resamples: each has a share of 1/27, above 1/40."""
    estimate = bootstrap(np.mean, np.array([0.1, 0.2, 0.6]))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.3, 0.1, 0.6))


def test_rows_stay_together_and_undefined_resamples_are_left_out():
    rows = np.array([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]])

    def slope(pairs):
        x, y = pairs.T
        return np.nan if np.ptp(x) == 0 else np.polyfit(x, y, 1)[0]

    estimate = bootstrap(slope, rows, resamples=200)
    np.testing.assert_allclose([estimate.value, estimate.low, estimate.high], 2.0)


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match=r"got 0, 0.95, 2000"):
        bootstrap(np.mean, np.array([]))
    with pytest.raises(ValueError, match=r"got 1, 1.5, 2000"):
        bootstrap(np.mean, np.ones(1), level=1.5)
    with pytest.raises(ValueError, match=r"got shape \(0,\), 0.95"):
        t_interval(np.array([]))
    with pytest.raises(ValueError, match=r"got shape \(2,\), 0"):
        t_interval(np.ones(2), level=0)


@pytest.mark.parametrize(
    ("low", "high", "positive", "positive_by_margin", "zero"),
    [
        (0.01, 0.04, "shown", "shown", "shown"),
        (0.01, 0.06, "shown", "shown", "refuted"),
        (-0.01, 0.04, "undecided", "refuted", "shown"),
        (-0.01, 0.06, "undecided", "undecided", "undecided"),
        (-0.06, 0.04, "undecided", "undecided", "undecided"),
        (-0.06, -0.01, "refuted", "refuted", "refuted"),
        (0.0, 0.0, "undecided", "refuted", "shown"),
        (None, None, "undecided", "undecided", "undecided"),
    ],
)
def test_verdicts(low, high, positive, positive_by_margin, zero):
    estimate = Estimate(value=0.02, low=low, high=high, level=0.95)
    assert verdict(estimate) == positive
    assert verdict(estimate, margin=0.05) == positive_by_margin
    assert verdict_equal(estimate, margin=0.05) == zero


def test_t_interval_is_that_of_the_tables():
    """0.975 quantiles of Student's t: 12.706 for one degree of freedom, 4.3027 for two, 2.7764 for four."""
    two = t_interval(np.array([1.0, 3.0]))
    assert (two.value, two.low, two.high, two.level) == pytest.approx((2.0, 2 - 12.706, 2 + 12.706, 0.95), abs=1e-3)
    three = t_interval(np.array([1.0, 2.0, 3.0]))
    assert (three.low, three.high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    five = t_interval(np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    assert five.high == pytest.approx(2 + 2.7764 * 2.5**0.5 / 5**0.5, abs=1e-4)


def test_t_intervals_of_three_normal_samples_hold_the_mean_as_often_as_they_say():
    samples = np.random.default_rng(0).standard_normal((4000, 3))
    held = [estimate.low < 0 < estimate.high for estimate in map(t_interval, samples)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.01)
    ranges = (samples.min(axis=1) < 0) & (samples.max(axis=1) > 0)
    assert ranges.mean() == pytest.approx(0.75, abs=0.02)


def test_one_sample_gives_no_interval():
    estimate = t_interval(np.array([0.25]))
    assert estimate == Estimate(value=0.25, low=None, high=None, level=0.95)
    assert str(estimate) == "0.250 (one seed)"


def test_text_holds_value_and_interval():
    assert str(Estimate(value=0.61234, low=0.4, high=0.75, level=0.95)) == "0.612 [0.400, 0.750]"


def test_example():
    result = doctest.testmod(intervals)
    assert result.attempted and not result.failed
