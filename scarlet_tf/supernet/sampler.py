"""Strict fairness: which path takes which choice (paper: "Training Strategy"; FairNAS, strict fairness).

Every step draws, for every layer on its own, a permutation of the choices; path p takes the p-th entry of every layer's
permutation. So each choice of each layer is in exactly one path.
"""

from __future__ import annotations

import numpy as np


def fair_paths(seed: int, step: int, *, num_layers: int, num_choices: int) -> np.ndarray:
    """The paths of one step, a pure function of (seed, step): a resumed run needs no sampler state.

    Returns:
        (num_choices, num_layers) int32; row p is path p's genome, every column a permutation of the choices.
    """
    rng = np.random.default_rng((seed, step))
    columns = [rng.permutation(num_choices) for _ in range(num_layers)]
    return np.stack(columns, axis=1).astype(np.int32)


def routes(paths: np.ndarray) -> np.ndarray:
    """For every layer after the first: where each choice finds its input among the layer before's outputs.

    Args:
        paths: (num_choices, num_layers), every column a permutation.

    Returns:
        (num_layers, num_choices) int32. Row l, entry c: the choice of layer l-1 that is in the same path as choice c
        of layer l. Row 0 is the path that each choice of layer 0 belongs to; there all inputs are the stem's output.
    """
    path_of_choice = np.argsort(paths, axis=0)
    rows = [path_of_choice[:, 0]]
    rows += [paths[path_of_choice[:, layer], layer - 1] for layer in range(1, paths.shape[1])]
    return np.stack(rows).astype(np.int32)
