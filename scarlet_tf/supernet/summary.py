"""Summary of a trained supernet: one-shot accuracy of random paths with both BN modes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from scarlet_tf.files import write_atomically
from scarlet_tf.supernet.evaluator import SupernetEvaluator
from scarlet_tf.supernet.settings import BN_MODES
from scarlet_tf.supernet.supernet_trainer import load_supernet


def report_paths(
    directory: str | Path, *, count: int, images: int | None = 1000, seed: int = 0, data_dir: str | None = None
) -> str:
    """Evaluate uniformly drawn genomes of a supernet, write paths.json, and return a summary, a line for each BN mode.

    Args:
        directory: run directory of the supernet, also for paths.json.
        count: number of genomes.
        images: number of held-out images; None: all.
    """
    trained = load_supernet(directory)
    genomes = trained.supernet.space.random(np.random.default_rng(seed), count)
    found, lines = {}, []
    for bn in BN_MODES:
        evaluator = SupernetEvaluator(trained, bn=bn, images=images, data_dir=data_dir)
        accuracies = evaluator.evaluate(genomes)
        summary = {name: float(getattr(accuracies, name)()) for name in ("mean", "std", "min", "max")}
        found[bn] = summary | {"accuracies": accuracies.tolist()}
        text = ", ".join(f"{name} {value:.3f}" for name, value in summary.items())
        lines.append(f"one-shot accuracy of {count} random paths, {bn} BN: {text}")
    record = {
        "step": trained.step,
        "images": evaluator.num_images,
        "seed": seed,
        "genomes": genomes.tolist(),
        "bn": found,
    }
    write_atomically(Path(directory) / "paths.json", json.dumps(record))
    return "\n".join(lines)
