"""Uniform random search, the baseline of the search; its evaluations are kept in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.files import write_atomically
from scarlet_tf.search.evaluator import Evaluator, evaluate_checked
from scarlet_tf.search.operators import genome_key

_BATCH = 70  # models between two writes; the paper's population


def evaluate_uniform(
    space: SearchSpace,
    evaluator: Evaluator,
    *,
    path: str | os.PathLike,
    count: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate `count` distinct models drawn uniformly, or resume from the file.

    With the same seed, a larger `count` only appends models, so it may grow from call to call.

    Args:
        space: the search space.
        evaluator: predicts accuracy.
        path: a JSON file, updated after every few models; its folder is created if needed.
        count: number of models.
        seed: of the models.
        progress: called with the number of models done so far.

    Returns:
        Genomes (count, num_layers) int64 and their accuracies (count,) float64 in [0, 1], in the order drawn.

    Raises:
        ValueError: if count is below 1 or above the space's size, or the file is damaged, or holds other models or
            another evaluator's accuracies.
    """
    genomes = _draw(space, count=count, seed=seed)
    owner = {"space": space.to_dict(), "evaluator": evaluator.fingerprint, "seed": seed}
    accuracies = _read(Path(path), json.loads(json.dumps(owner)))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    progress(min(len(accuracies), count))
    while len(accuracies) < count:
        batch = genomes[len(accuracies) : len(accuracies) + _BATCH]
        accuracies += evaluate_checked(evaluator, batch).tolist()
        write_atomically(path, json.dumps({**owner, "accuracies": accuracies}) + "\n")
        progress(len(accuracies))
    return genomes, np.array(accuracies[:count], np.float64)


def _draw(space: SearchSpace, *, count: int, seed: int) -> np.ndarray:
    if not 1 <= count <= space.size:
        raise ValueError(
            f"the number of models to draw must be in 1..{space.size}, the size of space {space.name!r}, got {count}"
        )
    rng = np.random.default_rng([seed, 0, 1])  # differs from those of a search, which use [seed, generation]
    drawn: dict[bytes, np.ndarray] = {}
    while len(drawn) < count:
        genome = space.random(rng, 1)[0]
        drawn.setdefault(genome_key(genome), genome)
    return np.stack(list(drawn.values()))


def _read(path: Path, owner: dict) -> list[float]:
    if not path.exists():
        return []
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        accuracies = stored.pop("accuracies")
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError, TypeError):
        raise ValueError(f"{path} is damaged or has no evaluated models") from None
    if stored != owner:
        different = next(name for name in owner if stored.get(name) != owner[name])
        raise ValueError(f"{path}: its models are of another {different}: {stored.get(different)!r}")
    return accuracies
