"""Pareto ranks, hypervolume, and equispaced selection along a front. Costs are minimised throughout."""

from __future__ import annotations

import numpy as np


def _checked(costs: np.ndarray) -> np.ndarray:
    costs = np.asarray(costs, np.float64)
    if costs.ndim != 2 or np.isnan(costs).any():
        raise ValueError(f"costs must be an (n, m) array without NaN, got shape {costs.shape}")
    return costs


def dominance(costs: np.ndarray) -> np.ndarray:
    """Return which points dominate which: (n, m) costs -> (n, n) bool, [i, j] if i dominates j.

    i dominates j if it is nowhere worse and somewhere better; equal points do not dominate each other.
    """
    costs = _checked(costs)
    no_worse = np.ones((len(costs), len(costs)), bool)
    better = np.zeros_like(no_worse)
    for column in costs.T:  # one objective at a time: an (n, n, m) array would be slower to reduce
        no_worse &= column[:, None] <= column[None, :]
        better |= column[:, None] < column[None, :]
    return no_worse & better


def non_dominated_ranks(costs: np.ndarray) -> np.ndarray:
    """Return Pareto ranks by fast non-dominated sorting (Deb et al. 2002): (n, m) -> (n,) int64, 0 for the front."""
    dominates = dominance(costs)
    dominators = dominates.sum(axis=0)
    ranks = np.full(len(dominators), -1, np.int64)
    front, rank = np.flatnonzero(dominators == 0), 0
    while front.size:
        ranks[front] = rank
        dominators -= dominates[front].sum(axis=0)
        front, rank = np.flatnonzero((dominators == 0) & (ranks < 0)), rank + 1
    return ranks


def hypervolume(costs: np.ndarray, reference: np.ndarray) -> float:
    """Return the volume between the points and the reference point, dominated by the points.

    The result is exact for every m >= 1: the last objective cuts the volume into slabs of an (m - 1)-volume each. This
    takes O(n^(m-1)), so it is meant for 2 and 3 objectives. Points that are not better than the reference in every
    objective add nothing, such as those with a cost of infinity. A cost of minus infinity makes the volume infinite.

    Args:
        costs: (n, m).
        reference: (m,).

    Raises:
        ValueError: for another shape, or NaN among the costs.
    """
    costs, reference = _checked(costs), np.asarray(reference, np.float64)
    if reference.shape != (costs.shape[1],):
        raise ValueError(f"the reference point must have {costs.shape[1]} entries, got shape {reference.shape}")
    inside = costs[(costs < reference).all(axis=1)]
    return _volume(inside, reference) if np.isfinite(inside).all() else np.inf


def _volume(costs: np.ndarray, reference: np.ndarray) -> float:
    if not len(costs):
        return 0.0
    costs = costs[np.argsort(costs[:, -1], kind="stable")]
    if costs.shape[1] == 1:
        return float(reference[0] - costs[0, 0])
    thickness = np.diff(np.append(costs[:, -1], reference[-1]))
    if costs.shape[1] == 2:  # the best first objective so far determines the length of a slab
        return float(thickness @ (reference[0] - np.minimum.accumulate(costs[:, 0])))
    if costs.shape[1] == 3:
        return float(thickness @ _areas_of_prefixes(costs[:, :2], reference[:2]))
    slabs = (_volume(costs[: i + 1, :-1], reference[:-1]) * depth for i, depth in enumerate(thickness) if depth > 0)
    return float(sum(slabs))


def _areas_of_prefixes(costs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the areas of all slabs of a volume: (n, 2) costs -> (n,), entry i is the area of the points 0..i."""
    order = np.argsort(costs[:, 1], kind="stable")
    thickness = np.diff(np.append(costs[order, 1], reference[1]))
    in_prefix = order[None, :] <= np.arange(len(costs))[:, None]
    firsts = np.where(in_prefix, costs[order, 0][None, :], reference[0])
    return (reference[0] - np.minimum.accumulate(firsts, axis=1)) @ thickness


def equispaced(costs: np.ndarray, ranks: np.ndarray, count: int) -> np.ndarray:
    """Select `count` distinct members spread along the front (paper: Algorithm 1, "Select K equispaced models").

    They are equispaced in the first objective, which is defined even if a front of three objectives is a surface: both
    ends, then for each of the evenly spaced values between them the nearest member not selected yet. A front smaller
    than `count` is selected whole, and the rest comes from the next ranks in the same way. A single member is the best
    in the first objective.

    Args:
        costs: (n, m).
        ranks: (n,) from `non_dominated_ranks`.
        count: 1..n.

    Returns:
        (count,) int64 indices, by rank and then from the best to the worst first objective.

    Raises:
        ValueError: if count is not in 1..n.
    """
    costs = _checked(costs)
    if not 1 <= count <= len(costs):
        raise ValueError(f"cannot pick {count} distinct models out of {len(costs)}")
    chosen: list[int] = []
    for rank in np.unique(ranks):
        front = np.flatnonzero(ranks == rank)
        chosen += _spread(costs[:, 0], front, min(count - len(chosen), len(front)))
        if len(chosen) == count:
            break
    return np.array(chosen, np.int64)


def _spread(values: np.ndarray, front: np.ndarray, count: int) -> list[int]:
    ordered = front[np.argsort(values[front], kind="stable")]
    targets = np.linspace(values[ordered[0]], values[ordered[-1]], count)
    taken = {0, len(ordered) - 1} if count > 1 else {0}
    free = [position for position in range(len(ordered)) if position not in taken]
    for target in targets[1:-1]:
        free_values = values[ordered[free]]
        taken.add(free.pop(int(np.argmin(np.abs(free_values - target)))))
    return [int(ordered[position]) for position in sorted(taken)]
