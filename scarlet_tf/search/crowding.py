"""Weighted crowding distance (paper: "Weighted Non-dominated Sorting"; Friedrich, Kroeger and Neumann 2011)."""

from __future__ import annotations

import numpy as np

from scarlet_tf.search.pareto import non_dominated_ranks


def crowding_by_objective(costs: np.ndarray) -> np.ndarray:
    """Return the crowding distances d_i of the points of a front.

    d_i is the distance between the two neighbours of a point in objective i, divided by the range of i.

    Conventions of Deb et al. 2002 and pymoo:
      - the first and last point of an objective's order have infinite distance in it;
      - equal values keep their given order (a stable sort), so only one of several tied end points is infinite;
      - an objective that is constant on the front gives 0 to all points, because it distinguishes none;
      - all distances on a front of one or two points are infinite.

    In addition, for infinite costs: the range is that of the finite costs, equal infinities are 0 apart, and any other
    distance to an infinite cost is infinite.

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
    # In pymoo's order of operations, so that the floating-point results are the same.
    steps = np.zeros((len(costs) - 1, costs.shape[1]))
    np.subtract(ordered[1:], ordered[:-1], out=steps, where=ordered[1:] > ordered[:-1])
    steps /= np.where(span > 0, span, 1.0)
    gaps[1:-1] = steps[:-1] + steps[1:]
    gaps[:, ordered[0] == ordered[-1]] = 0.0
    distances = np.empty_like(gaps)
    np.put_along_axis(distances, order, gaps, axis=0)
    return distances


def weighted_crowding(costs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted crowding distances sum_i w_i d_i of a front; NSGA-II has sum_i d_i.

    Objectives of weight 0 are ignored, including their end points (0 times infinity is 0 here). pymoo divides the
    unweighted sum by the number of objectives, which corresponds to the weights (1/m, ..., 1/m).

    Args:
        costs: (n, m).
        weights: (m,), >= 0.

    Returns:
        (n,) float64; larger values are less crowded.

    Raises:
        ValueError: if costs and weights differ in the number of objectives.
    """
    costs, weights = np.asarray(costs, np.float64), np.asarray(weights, np.float64)
    if weights.shape != costs.shape[1:]:
        raise ValueError(f"expected {costs.shape[1]} weights, one per objective, got shape {weights.shape}")
    counted = weights > 0
    return crowding_by_objective(costs)[:, counted] @ weights[counted]


def rank_and_crowd(costs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Pareto ranks (n,) int64 of (n, m) costs, and weighted crowding on the points' own fronts (n,) float64."""
    costs = np.asarray(costs, np.float64)
    ranks = non_dominated_ranks(costs)
    crowding = np.empty(len(costs))
    for rank in range(ranks.max(initial=-1) + 1):
        front = ranks == rank
        crowding[front] = weighted_crowding(costs[front], weights)
    return ranks, crowding


def survivors(costs: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Select the `count` best of (n, m) costs by rank, then weighted crowding (paper: Algorithm 1).

    Returns:
        (min(count, n),) int64 indices, best first; ties keep their order.
    """
    ranks, crowding = rank_and_crowd(costs, weights)
    return np.lexsort((-crowding, ranks))[:count]
