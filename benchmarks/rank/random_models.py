"""Random models of a space, for rankings. Imports no TensorFlow, so that the tool can check its flags first."""

from __future__ import annotations

import numpy as np

from scarlet_tf.arch import SearchSpace, count_genomes
from scarlet_tf.choices import check_known

DRAWS = ("uniform", "depth", "madds")  # see `draw_genomes`
_MOST_DRAWS = 100  # per requested model
_POOL = 10_000  # or more, of each of the two draws that "madds" draws from


def draw_genomes(space: SearchSpace, models: int, *, seed: int, draw: str = "uniform") -> np.ndarray:
    """Draw distinct genomes.

    Args:
        models: number of genomes. With the same seed, a larger number only appends genomes, but draws others for
            "madds".
        draw: "uniform" over the space, where most models have about num_layers/13 identities; "depth", where the
            number of identities is uniform in 0..num_layers, and then their layers and the other choices are; or
            "madds", stratified by the multiply-adds of the stand-alone models. For the latter, 10,000 or more genomes
            of each other draw form a pool, whose range of multiply-adds is divided into `models` equal intervals.
            One genome is drawn from each interval. An interval that holds none gets, of the genomes that are not
            drawn yet, the one whose multiply-adds are nearest to its middle.

    Returns:
        (models, num_layers) int64; for "madds" by increasing multiply-adds.

    Raises:
        ValueError: if `models` is below 2 or the space is too small, or `draw` is unknown.
    """
    check_known("draw", draw, DRAWS)
    if models < 2:
        raise ValueError(f"a ranking needs 2 or more models, got {models}")
    rng = np.random.default_rng(seed)
    draws = max(_POOL, _MOST_DRAWS * models) if draw == "madds" else _MOST_DRAWS * models
    parts = []
    if draw in ("uniform", "madds"):
        parts.append(space.random(rng, draws))
    if draw in ("depth", "madds"):
        parts.append(np.stack([_of_some_depth(space, rng) for _ in range(draws)]))
    drawn = np.concatenate(parts)
    _, first = np.unique(drawn, axis=0, return_index=True)
    if len(first) < models:
        raise ValueError(f"space {space.name!r} has {space.size} models, too few to draw {models} distinct ones")
    distinct = drawn[np.sort(first)]
    return _stratified(space, distinct, models, rng=rng) if draw == "madds" else distinct[:models]


def _stratified(space: SearchSpace, pool: np.ndarray, models: int, *, rng: np.random.Generator) -> np.ndarray:
    """Draw one genome of the pool from each of `models` equal intervals of its multiply-adds, see `draw_genomes`.

    Args:
        pool: (n, num_layers) distinct genomes, n >= models.
    """
    madds, _ = count_genomes(space, pool)
    edges = np.linspace(madds.min(), madds.max(), models + 1)
    interval = np.searchsorted(edges[1:-1], madds, side="right")
    chosen = {k: rng.choice(members) for k in range(models) if len(members := np.flatnonzero(interval == k))}
    for k in set(range(models)) - chosen.keys():
        distance = np.abs(madds - edges[k : k + 2].mean())
        distance[list(chosen.values())] = np.inf
        chosen[k] = int(distance.argmin())
    rows = np.array(list(chosen.values()))
    return pool[rows[np.argsort(madds[rows], kind="stable")]]


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
