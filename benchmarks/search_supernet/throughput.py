"""Time evaluating a generation in the supernet with shared prefixes, one model at a time, and as Keras models."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scarlet_tf.layers import BatchNorm
from scarlet_tf.models import build, set_weights
from scarlet_tf.progress import progress
from scarlet_tf.search.archive import read_archive
from scarlet_tf.supernet import Supernet, SupernetEvaluator

ALONE = "alone"
ONE_BY_ONE = "one_by_one"


def last_children(archive: Path, count: int) -> np.ndarray:
    """Return genomes (count, num_layers) of the first `count` models that a search's last generation evaluated."""
    with read_archive(archive) as opened:
        generation = opened.last_generation
        children = opened.models("generation = ?", (generation,)).genomes
    if len(children) < count:
        raise ValueError(f"{archive}: generation {generation} evaluated {len(children)} models, expected {count}")
    return children[:count]


def time_evaluation(
    supernet: Supernet, genomes: np.ndarray, *, evaluators: dict[str, SupernetEvaluator], rounds: int
) -> dict:
    """Time the evaluation of all genomes, in interleaved rounds after one that is not counted.

    Args:
        evaluators: by BN mode, "moving" and "recalibrated", with the same images. Their accuracies are compared with
            those of stand-alone models, of which the ones with moving statistics are timed.

    Returns:
        seconds: for each way, a list with one number per round. The ways are the BN modes, all models together;
            "one_by_one", each model on its own in the supernet with recalibrated BN; and "alone", as Keras models.
        ratios: for each way, its seconds divided by those of "alone", the median over rounds.
        together_over_one_by_one: with recalibrated statistics, seconds for all models together divided by those for one
            by one, the median over rounds. Both must give the same accuracies.
        different_accuracies: by BN mode, the number of models whose accuracy alone differs from that in the supernet.
        different_answers: by BN mode, the largest difference of one model's two accuracies, in images.

    Raises:
        RuntimeError: if models have other accuracies one by one than together.
    """
    recalibrated = evaluators["recalibrated"]
    images, labels = map(np.concatenate, zip(*evaluators["moving"].batches(), strict=True))
    ways: dict[str, Callable[[], tuple[float, np.ndarray]]] = {
        bn: lambda evaluator=evaluator: _timed_batch(evaluator, genomes) for bn, evaluator in evaluators.items()
    }
    ways[ONE_BY_ONE] = lambda: _timed_one_by_one(recalibrated, genomes)
    for run in ways.values():  # trace what a search traces long before its last generation
        run()
    evaluate_alone(supernet, genomes[:1], images, labels)
    ways[ALONE] = lambda: evaluate_alone(supernet, genomes, images, labels)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    accuracies = {}
    for _ in progress(range(rounds), "throughput", unit="round"):
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
    """Build, compile and run a Keras model for every genome, with the supernet's weights.

    Args:
        calibration: images whose statistics every BN uses; None: the supernet's moving statistics.

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
        gc.collect()  # not timed: models contain reference cycles, and memory is limited
    return seconds, np.array(correct) / len(labels)


def _recalibrated(supernet: Supernet, genome: np.ndarray, calibration: np.ndarray):
    """Return the model of `Supernet.extract`, but with BN statistics of the calibration images."""
    # With momentum 0, Keras replaces the moving statistics with those of the batch.
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
