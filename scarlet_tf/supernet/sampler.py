"""Strict fairness: which path takes which choice (paper: "Training Strategy"; FairNAS, strict fairness).

A step has as many paths as the layer with the most choices has. Every layer on its own deals its choices to the paths
by a permutation. Where all layers have as many choices, each choice of each layer is in exactly one path. In a layer
with fewer, choices are in several paths: their numbers differ by at most one in a step, and are the same over a round
of steps. So all choices of a layer are trained equally often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scarlet_tf.arch import SearchSpace


def num_paths(space: SearchSpace) -> int:
    """Return the number of paths of a fair step."""
    return max(space.num_choices)


def runs_of_choices(space: SearchSpace) -> tuple[int, ...]:
    """Return how often a choice of each layer may be used in one fair step."""
    return tuple(-(-num_paths(space) // count) for count in space.num_choices)


def fair_paths(seed: int, step: int, *, num_choices: Sequence[int]) -> np.ndarray:
    """Return the paths of one step, a pure function of (seed, step): a resumed run needs no sampler state.

    Args:
        num_choices: of every layer.

    Returns:
        (paths, num_layers) int32; row p is path p's genome.
    """
    rng = np.random.default_rng((seed, step))
    paths = max(num_choices)
    columns = [
        rng.permutation(_uses(seed, step, layer, choices=choices, paths=paths))
        for layer, choices in enumerate(num_choices)
    ]
    return np.stack(columns, axis=1).astype(np.int32)


def _uses(seed: int, step: int, layer: int, *, choices: int, paths: int) -> np.ndarray:
    """The choices that a layer deals out in a step: each floor(paths / choices) times, and some once more.

    Those are the next ones of a cycle through all choices, in an order that is drawn anew for every round.
    """
    whole, more = divmod(paths, choices)
    uses = np.tile(np.arange(choices), whole)
    if not more:
        return uses
    turn, place = divmod(step, choices // math.gcd(choices, more))
    order = np.random.default_rng((seed, layer, turn, choices)).permutation(choices)
    return np.concatenate([uses, order[(place * more + np.arange(more)) % choices]])


def routes(paths: np.ndarray, *, num_choices: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Return where each run of a choice finds its input among the runs of the layer before.

    A layer runs each of its choices ceil(paths / choices) times, whether a path uses it or not: run k of choice c has
    number c * that + k. A run that no path uses takes the input of path 0.

    Args:
        paths: (paths, num_layers) from `fair_paths`.

    Returns:
        int32 arrays. The first is for layer 0, whose inputs are all the stem's output: the path of every run. Then one
        for every further layer: the run of the layer before, of every run. The last one, (paths,): every path's run
        of the last layer.
    """
    count = len(paths)
    found, before = [], np.arange(count)
    for column, choices in zip(paths.T, num_choices, strict=True):
        runs = -(-count // choices)
        order = np.argsort(column, kind="stable")
        first_use = np.searchsorted(column[order], column[order])
        run_of_path = np.empty(count, np.int64)
        run_of_path[order] = column[order] * runs + np.arange(count) - first_use
        inputs = np.full(choices * runs, before[0])
        inputs[run_of_path] = before
        found.append(inputs.astype(np.int32))
        before = run_of_path
    return (*found, before.astype(np.int32))
