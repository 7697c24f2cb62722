import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function

from scarlet_tf.search.crowding import crowding_by_objective, rank_and_crowd, survivors, weighted_crowding

inf = np.inf
point_sets = st.integers(2, 4).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(1, 25), st.just(m)), elements=st.integers(0, 5).map(float))
)


def test_by_hand():
    costs = np.array([[0, 10], [1, 6], [3, 5], [4, 0]])
    assert crowding_by_objective(costs).tolist() == [[inf, inf], [0.75, 0.5], [0.75, pytest.approx(0.6)], [inf, inf]]
    assert weighted_crowding(costs, [0.4, 0.6]).tolist() == [inf, pytest.approx(0.6), pytest.approx(0.66), inf]


def test_weights_change_who_is_crowded():
    costs = np.array([[0, 10], [1, 9.5], [5, 9], [9, 1], [10, 0]])
    first, second = weighted_crowding(costs, [1, 0]), weighted_crowding(costs, [0, 1])
    assert first[1:4].tolist() == pytest.approx([0.5, 0.8, 0.5])
    assert second[1:4].tolist() == pytest.approx([0.1, 0.85, 0.9])


def test_an_objective_of_weight_0_has_no_infinite_ends():
    costs = np.array([[0, 1], [1, 3], [2, 0], [3, 2]])
    assert np.isinf(weighted_crowding(costs, [1, 0])).tolist() == [True, False, False, True]


def test_a_constant_objective_counts_for_nothing():
    costs = np.array([[0, 7], [1, 7], [4, 7]])
    assert crowding_by_objective(costs).tolist() == [[inf, 0], [1, 0], [inf, 0]]
    assert weighted_crowding(np.ones((4, 3)), [0.4, 0.4, 0.2]).tolist() == [0, 0, 0, 0]


def test_of_tied_ends_one_is_infinite():
    costs = np.array([[0], [0], [1], [2], [2]])
    assert crowding_by_objective(costs)[:, 0].tolist() == [inf, 0.5, 1, 0.5, inf]


def test_a_duplicate_between_its_equals_is_crowded_out():
    costs = np.array([[0, 2], [1, 1], [1, 1], [1, 1], [2, 0]])
    assert weighted_crowding(costs, [0.5, 0.5]).tolist() == [inf, 0.5, 0, 0.5, inf]


def test_infinite_costs():
    costs = np.array([[-inf], [0], [1], [3], [4], [inf], [inf]])
    assert crowding_by_objective(costs)[:, 0].tolist() == [inf, inf, 0.75, 0.75, inf, inf, inf]
    costs = np.array([[inf, 2], [inf, 1], [inf, 3], [inf, 4]])  # constant, though infinite
    assert crowding_by_objective(costs).tolist() == [[0, 2 / 3], [0, inf], [0, 2 / 3], [0, inf]]
    ranks, crowding = rank_and_crowd(np.array([[0, inf], [1, 5], [2, 4], [2, inf]]), np.array([0.5, 0.5]))
    assert ranks.tolist() == [0, 0, 0, 1] and not np.isnan(crowding).any()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_small_fronts_are_infinite(n):
    assert weighted_crowding(np.zeros((n, 3)), [0.4, 0.4, 0.2]).tolist() == [inf] * n


def test_as_many_weights_as_objectives():
    with pytest.raises(ValueError, match="expected 2 weights"):
        weighted_crowding(np.zeros((3, 2)), [1.0])


@given(point_sets)
@settings(max_examples=500, deadline=None)
def test_equal_weights_are_pymoos(costs):
    m = costs.shape[1]
    expected = get_crowding_function("cd").do(costs)
    np.testing.assert_allclose(weighted_crowding(costs, np.full(m, 1 / m)), expected, rtol=1e-12)
    np.testing.assert_allclose(weighted_crowding(costs, np.ones(m)), m * expected, rtol=1e-12)


@given(point_sets, st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_scale_does_not_matter(costs, scale):
    weights = np.full(costs.shape[1], 1 / costs.shape[1])
    np.testing.assert_allclose(weighted_crowding(costs * 2.0**scale + 3, weights), weighted_crowding(costs, weights))


def test_crowding_is_measured_on_each_front():
    costs = np.array([[0, 4], [4, 0], [1, 1], [5, 5], [6, 6]])
    ranks, crowding = rank_and_crowd(costs, np.array([0.5, 0.5]))
    assert ranks.tolist() == [0, 0, 0, 1, 2]
    assert crowding.tolist() == [inf, inf, 1, inf, inf]


def test_survivors_by_rank_then_crowding():
    costs = np.array([[5, 5], [0, 4], [1, 2.9], [1.1, 2.8], [4, 0]])
    assert survivors(costs, np.array([0.5, 0.5]), 3).tolist() == [1, 4, 3]
    assert sorted(survivors(costs, np.array([0.5, 0.5]), 9).tolist()) == [0, 1, 2, 3, 4]
