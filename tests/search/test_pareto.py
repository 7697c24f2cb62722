import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from scarlet_tf.search.pareto import dominance, equispaced, hypervolume, non_dominated_ranks

# Few distinct values: ties and duplicates are the rule.
point_sets = st.integers(2, 4).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(1, 30), st.just(m)), elements=st.integers(0, 5).map(float))
)


def test_ranks_by_hand():
    costs = np.array([[1, 4], [2, 2], [4, 1], [2, 5], [3, 3], [5, 5], [2, 2]])
    assert non_dominated_ranks(costs).tolist() == [0, 0, 0, 1, 1, 2, 0]
    assert non_dominated_ranks(np.empty((0, 2))).tolist() == []


def test_equals_do_not_dominate():
    assert not dominance(np.ones((3, 2))).any()
    assert dominance(np.array([[1, 1], [1, 2]])).tolist() == [[False, True], [False, False]]


def test_nan_is_refused():
    with pytest.raises(ValueError, match="without NaN"):
        non_dominated_ranks(np.array([[np.nan, 1.0]]))


@given(point_sets)
@settings(max_examples=500, deadline=None)
def test_ranks_are_pymoos(costs):
    expected = NonDominatedSorting().do(costs, return_rank=True)[1]
    assert non_dominated_ranks(costs).tolist() == list(expected)


@given(point_sets, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_ranks_do_not_depend_on_order(costs, random):
    order = random.sample(range(len(costs)), len(costs))
    assert (non_dominated_ranks(costs[order]) == non_dominated_ranks(costs)[order]).all()


def test_hypervolume_by_hand():
    assert hypervolume(np.array([[0.25], [0.5]]), np.ones(1)) == 0.75
    assert hypervolume(np.array([[1, 3], [2, 2], [3, 1]]), np.array([4, 4])) == 6
    assert hypervolume(np.array([[0, 1, 1], [1, 0, 0]]), np.array([2, 2, 2])) == 2 * 1 * 1 + 1 * 2 * 2 - 1
    assert hypervolume(np.array([[4.0, 0.0]]), np.array([4, 4])) == 0


@given(point_sets)
@settings(max_examples=100, deadline=None)
def test_hypervolume_is_pymoos(costs):
    reference = np.full(costs.shape[1], 5.0)
    assert hypervolume(costs, reference) == pytest.approx(HV(ref_point=reference)(costs), abs=1e-9)


def test_hypervolume_of_many_points():
    costs = np.random.default_rng(0).random((100, 3))
    assert hypervolume(costs, np.ones(3)) == pytest.approx(HV(ref_point=np.ones(3))(costs), abs=1e-12)


def test_hypervolume_of_infinite_costs():
    assert hypervolume(np.array([[np.inf, 0], [1, 1]]), np.array([2, 2])) == 1
    for costs in ([[-np.inf, 1], [0, 1]], [[-np.inf, 0, 1], [-np.inf, 1, 0], [1, 1, 1]]):
        assert hypervolume(np.array(costs), np.full(len(costs[0]), 2)) == np.inf


def test_hypervolume_checks_the_reference():
    with pytest.raises(ValueError, match="must have 2 entries"):
        hypervolume(np.zeros((1, 2)), np.ones(3))


def test_equispaced_along_a_front():
    x = np.array([10, 0, 1, 9, 5.2, 4.9, 2])
    costs = np.stack([x, -x], axis=1)
    ranks = non_dominated_ranks(costs)
    assert equispaced(costs, ranks, 3).tolist() == [1, 5, 0]
    assert equispaced(costs, ranks, 2).tolist() == [1, 0]
    assert equispaced(costs, ranks, 1).tolist() == [1]


def test_equispaced_fills_from_the_next_ranks():
    costs = np.array([[0, 1], [1, 0], [1, 2], [1.5, 1.5], [2, 1], [9, 9]])
    ranks = non_dominated_ranks(costs)
    assert ranks.tolist() == [0, 0, 1, 1, 1, 2]
    assert equispaced(costs, ranks, 4).tolist() == [0, 1, 2, 4]
    assert equispaced(costs, ranks, 6).tolist() == [0, 1, 2, 3, 4, 5]


@given(point_sets, st.data())
@settings(max_examples=100, deadline=None)
def test_equispaced_is_distinct_and_has_the_ends(costs, data):
    count = data.draw(st.integers(1, len(costs)))
    ranks = non_dominated_ranks(costs)
    chosen = equispaced(costs, ranks, count)
    assert len(set(chosen.tolist())) == count
    assert (ranks[chosen] == np.sort(ranks)[:count]).all()
    front = costs[ranks == 0, 0]
    assert front.min() in costs[chosen, 0]
    assert count == 1 or front.max() in costs[chosen, 0]


@pytest.mark.parametrize("count", [0, 4])
def test_equispaced_cannot_pick_more_than_there_are(count):
    with pytest.raises(ValueError, match="out of 3"):
        equispaced(np.zeros((3, 2)), np.zeros(3, int), count)
