"""Random models of a space, for rankings. Imports no TensorFlow, so that the tool can check its flags first."""

from __future__ import annotations

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.choices import check_known

DRAWS = ("uniform", "depth")  # see `draw_genomes`
_MOST_DRAWS = 100  # per requested model


def draw_genomes(space: SearchSpace, models: int, *, seed: int, draw: str = "uniform") -> np.ndarray:
    """Draw distinct genomes.

    Args:
        models: number of genomes. With the same seed, a larger number only appends genomes.
        draw: "uniform" over the space, where most models have about num_layers/13 identities; or "depth", where the
            number of identities is uniform in 0..num_layers, and then their layers and the other choices are.

    Returns:
        (models, num_layers) int64.

    Raises:
        ValueError: if `models` is below 2 or the space is too small, or `draw` is unknown.
    """
    check_known("draw", draw, DRAWS)
    if models < 2:
        raise ValueError(f"a ranking needs 2 or more models, got {models}")
    rng = np.random.default_rng(seed)
    if draw == "uniform":
        drawn = space.random(rng, _MOST_DRAWS * models)
    else:
        drawn = np.stack([_of_some_depth(space, rng) for _ in range(_MOST_DRAWS * models)])
    _, first = np.unique(drawn, axis=0, return_index=True)
    if len(first) < models:
        raise ValueError(f"space {space.name!r} has {space.size} models, too few to draw {models} distinct ones")
    return drawn[np.sort(first)[:models]]


def _of_some_depth(space: SearchSpace, rng: np.random.Generator) -> np.ndarray:
    skippable = np.array([gene is not None for gene in space.identities])
    genome = rng.integers(0, np.array(space.num_choices) - skippable)
    identities = np.array([-1 if gene is None else gene for gene in space.identities])
    genome += skippable & (genome >= identities)  # from an index among the other choices to a gene
    order = rng.permutation(space.num_layers)
    layers = order[skippable[order]]
    chosen = layers[: rng.integers(0, len(layers) + 1)]
    genome[chosen] = identities[chosen]
    return genome
