"""Weighted crowding distance (paper: "Weighted Non-dominated Sorting"; Friedrich, Kroeger and Neumann 2011)."""

from __future__ import annotations

import numpy as np

from scarlet_tf.search.pareto import non_dominated_ranks


def crowding_by_objective(costs: np.ndarray) -> np.ndarray:
    """d_i of every point of one front: distance between its two neighbours in objective i, over the range of i.

    Conventions, those of Deb et al. 2002 and of pymoo:
      - the first and last point of an objective's order are infinite in it;
      - equal values are ordered as given (a stable sort), so of tied end points one only is infinite;
      - an objective that is constant on the front gives 0 to all, ends included: it tells nobody apart;
      - a front of one or two points is infinite throughout.

    Beyond them, for infinite costs: the range is that of the finite ones, equal infinities are 0 apart, and a point
    beside an infinite one that it does not equal is infinitely far from it.

    Args:
        costs: (n, m).

    Returns:
        (n, m) float64.
    """
    costs = np.asarray(costs, np.float64)
    if len(costs) <= 2:
        return np.full(costs.shape, np.inf)
    order = np.argsort(costs, axis=0, kind="stable")
    ordered = np.take_along_axis(costs, order, axis=0)
    finite = {"axis": 0, "where": np.isfinite(ordered)}
    span = ordered.max(**finite, initial=-np.inf) - ordered.min(**finite, initial=np.inf)
    gaps = np.full(costs.shape, np.inf)
    # A neighbour at a time, as pymoo sums them: the same floating-point numbers come out.
    steps = np.zeros((len(costs) - 1, costs.shape[1]))
    np.subtract(ordered[1:], ordered[:-1], out=steps, where=ordered[1:] > ordered[:-1])
    steps /= np.where(span > 0, span, 1.0)
    gaps[1:-1] = steps[:-1] + steps[1:]
    gaps[:, ordered[0] == ordered[-1]] = 0.0
    distances = np.empty_like(gaps)
    np.put_along_axis(distances, order, gaps, axis=0)
    return distances


def weighted_crowding(costs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """d = sum_i w_i d_i of the points of one front, instead of NSGA-II's sum_i d_i.

    An objective of weight 0 counts for nothing, its ends included (0 times infinity is 0 here). pymoo divides the
    unweighted sum by the number of objectives: that is the weights (1/m, ..., 1/m) here.

    Args:
        costs: (n, m).
        weights: (m,), >= 0.

    Returns:
        (n,) float64, larger where it is less crowded.
    """
    costs, weights = np.asarray(costs, np.float64), np.asarray(weights, np.float64)
    if weights.shape != costs.shape[1:]:
        raise ValueError(f"expected {costs.shape[1]} weights, one an objective, got shape {weights.shape}")
    counted = weights > 0
    return crowding_by_objective(costs)[:, counted] @ weights[counted]


def rank_and_crowd(costs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, m) costs -> Pareto ranks (n,) int64, and each point's weighted crowding on its own front (n,) float64."""
    costs = np.asarray(costs, np.float64)
    ranks = non_dominated_ranks(costs)
    crowding = np.empty(len(costs))
    for rank in range(ranks.max(initial=-1) + 1):
        front = ranks == rank
        crowding[front] = weighted_crowding(costs[front], weights)
    return ranks, crowding


def survivors(costs: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """The `count` best of (n, m) costs by rank, then by weighted crowding (paper: Algorithm 1); ties in order given.

    Returns:
        (min(count, n),) int64 indices, best first.
    """
    ranks, crowding = rank_and_crowd(costs, weights)
    return np.lexsort((-crowding, ranks))[:count]
