"""Evaluating a generation's models in the supernet, sharing prefixes: against one by one, and as Keras models."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scarlet_tf.layers import BatchNorm
from scarlet_tf.models import build, set_weights
from scarlet_tf.search.archive import read_archive
from scarlet_tf.supernet import Supernet, SupernetEvaluator

ALONE = "alone"
ONE_BY_ONE = "one_by_one"


def last_children(archive: Path, count: int) -> np.ndarray:
    """Genomes of the first `count` models that the last generation of a search evaluated, (count, num_layers)."""
    with read_archive(archive) as opened:
        generation = opened.last_generation
        children = opened.models("generation = ?", (generation,)).genomes
    if len(children) < count:
        raise ValueError(f"{archive}: generation {generation} evaluated {len(children)} models, expected {count}")
    return children[:count]


def time_evaluation(
    supernet: Supernet, genomes: np.ndarray, *, evaluators: dict[str, SupernetEvaluator], rounds: int
) -> dict:
    """Seconds of evaluating all genomes, in interleaved rounds after one that does not count.

    Args:
        evaluators: by BN mode, "moving" and "recalibrated", with the same images. Stand-alone models must repeat their
            accuracies; those with moving statistics are timed.

    Returns:
        seconds: of each way, a list with one number a round: BN modes, all models together; "one_by_one", each on its
            own in the supernet, BN recalibrated; "alone", as Keras models.
        ratios: of each way, seconds over those of "alone", the median over rounds.
        together_over_one_by_one: seconds with recalibrated statistics, all models together over one by one, the median
            over rounds. Both give the same accuracies, or RuntimeError is raised.
        different_accuracies: by BN mode, how many models have another accuracy alone than in the supernet.
        different_answers: by BN mode, the most images by which the accuracies of one model differ.
    """
    recalibrated = evaluators["recalibrated"]
    images, labels = map(np.concatenate, zip(*evaluators["moving"].batches(), strict=True))
    ways: dict[str, Callable[[], tuple[float, np.ndarray]]] = {
        bn: lambda evaluator=evaluator: _timed_batch(evaluator, genomes) for bn, evaluator in evaluators.items()
    }
    ways[ONE_BY_ONE] = lambda: _timed_one_by_one(recalibrated, genomes)
    for run in ways.values():  # traces what a search has traced long before its last generation
        run()
    evaluate_alone(supernet, genomes[:1], images, labels)
    ways[ALONE] = lambda: evaluate_alone(supernet, genomes, images, labels)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    accuracies = {}
    for _ in tqdm(range(rounds), unit="round", dynamic_ncols=True):
        for way, run in ways.items():
            taken, accuracies[way] = run()
            seconds[way].append(taken)
    if not np.array_equal(accuracies["recalibrated"], accuracies[ONE_BY_ONE]):
        raise RuntimeError("models have other accuracies one by one than together")
    _, recalibrated_alone = evaluate_alone(supernet, genomes, images, labels, calibration=recalibrated.calibration)
    alone = {"moving": accuracies[ALONE], "recalibrated": recalibrated_alone}
    apart = {bn: np.rint(np.abs(alone[bn] - accuracies[bn]) * len(labels)).astype(int) for bn in alone}
    return {
        "models": len(genomes),
        "images": len(labels),
        "seconds": seconds,
        "ratios": {way: float(np.median(np.divide(taken, seconds[ALONE]))) for way, taken in seconds.items()},
        "together_over_one_by_one": float(np.median(np.divide(seconds["recalibrated"], seconds[ONE_BY_ONE]))),
        "different_accuracies": {bn: int((images > 0).sum()) for bn, images in apart.items()},
        "different_answers": {bn: int(images.max()) for bn, images in apart.items()},
    }


def evaluate_alone(
    supernet: Supernet,
    genomes: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    calibration: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """Builds, compiles and runs a Keras model for every genome, with the supernet's weights.

    Args:
        calibration: images whose statistics every BN takes over; None: the supernet's moving ones.

    Returns:
        Seconds, and accuracies (n,) float64.
    """
    seconds, correct = 0.0, []
    for genome in genomes:
        started = time.perf_counter()
        model = supernet.extract(genome) if calibration is None else _recalibrated(supernet, genome, calibration)
        model.compile()
        logits = model.predict(images, batch_size=len(images), verbose=0)
        seconds += time.perf_counter() - started
        correct.append(int((logits.argmax(axis=1) == labels).sum()))
        del model
        gc.collect()  # not part of the time: models are full of cycles, and memory is small
    return seconds, np.array(correct) / len(labels)


def _recalibrated(supernet: Supernet, genome: np.ndarray, calibration: np.ndarray):
    """As `Supernet.extract`, with BN statistics of the calibration images in place of the moving ones."""
    # Keras with momentum 0 takes over a batch's statistics whole.
    model = build(supernet.path_spec(genome), classifier_activation=None, bn=BatchNorm(momentum=0.0))
    set_weights(model, supernet.path_weights(genome))
    model(calibration, training=True)
    return model


def _timed_batch(evaluator: SupernetEvaluator, genomes: np.ndarray) -> tuple[float, np.ndarray]:
    started = time.perf_counter()
    accuracies = evaluator.evaluate(genomes)
    return time.perf_counter() - started, accuracies


def _timed_one_by_one(evaluator: SupernetEvaluator, genomes: np.ndarray) -> tuple[float, np.ndarray]:
    started = time.perf_counter()
    accuracies = [evaluator.evaluate(genomes[row : row + 1])[0] for row in range(len(genomes))]
    return time.perf_counter() - started, np.array(accuracies)
