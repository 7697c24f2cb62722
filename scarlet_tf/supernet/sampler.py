"""Sampling of paths with strict fairness (paper: "Training Strategy"; FairNAS, strict fairness).

A step has one path for each choice of the layer with the most choices. Each layer assigns its choices to the paths by a
separate random permutation. If all layers have the same number of choices, each choice of each layer is in exactly one
path. In a layer with fewer, some choices are in several paths: their numbers differ by at most one in a step, and are
equal over a round of steps. All choices of a layer are therefore trained equally often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def num_paths(num_choices: Sequence[int]) -> int:
    """Return the number of paths in a fair step."""
    return max(num_choices)


def runs_of_choices(num_choices: Sequence[int]) -> tuple[int, ...]:
    """Return, for each layer, the most paths that can use the same choice in a fair step."""
    return tuple(-(-num_paths(num_choices) // count) for count in num_choices)


def fair_paths(seed: int, step: int, *, num_choices: Sequence[int]) -> np.ndarray:
    """Draw the paths of a step; a pure function of (seed, step), so a resumed run needs no sampler state.

    Args:
        num_choices: number of choices of each layer.

    Returns:
        (paths, num_layers) int32; row p is the genome of path p.
    """
    rng = np.random.default_rng((seed, step))
    paths = num_paths(num_choices)
    columns = [
        rng.permutation(_uses(seed, step, layer, choices=choices, paths=paths))
        for layer, choices in enumerate(num_choices)
    ]
    return np.stack(columns, axis=1).astype(np.int32)


def _uses(seed: int, step: int, layer: int, *, choices: int, paths: int) -> np.ndarray:
    """Return the choices that a layer assigns in a step: each floor(paths / choices) times, some of them once more.

    These are the next ones in a cycle through all choices, whose order is redrawn every round.
    """
    whole, more = divmod(paths, choices)
    uses = np.tile(np.arange(choices), whole)
    if not more:
        return uses
    turn, place = divmod(step, choices // math.gcd(choices, more))
    order = np.random.default_rng((seed, layer, turn, choices)).permutation(choices)
    return np.concatenate([uses, order[(place * more + np.arange(more)) % choices]])


def routes(paths: np.ndarray, *, num_choices: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Return, for each run of a choice, the run of the previous layer that computes its input.

    A layer runs each of its choices ceil(paths / choices) times, whether paths use all of these runs or not. Run k of
    choice c has number c * ceil(paths / choices) + k. A run that no path uses takes the input of path 0.

    Args:
        paths: (paths, num_layers) from `fair_paths`.
        num_choices: number of choices of each layer.

    Returns:
        int32 arrays. The first one holds the path of each run of layer 0, where every input is the stem's output. Each
        further layer has one with the previous layer's run for each of its runs. The last one, (paths,), holds each
        path's run of the last layer.
    """
    count = len(paths)
    found, before = [], np.arange(count)
    for column, choices, runs in zip(paths.T, num_choices, runs_of_choices(num_choices), strict=True):
        order = np.argsort(column, kind="stable")
        first_use = np.searchsorted(column[order], column[order])
        run_of_path = np.empty(count, np.int64)
        run_of_path[order] = column[order] * runs + np.arange(count) - first_use
        inputs = np.full(choices * runs, before[0])
        inputs[run_of_path] = before
        found.append(inputs.astype(np.int32))
        before = run_of_path
    return (*found, before.astype(np.int32))
