"""Compute accuracies from confusion matrices, their means over seeds, and paired differences to the baseline."""

from __future__ import annotations

import dataclasses

import numpy as np

from scarlet_tf.intervals import t_interval

OURS = ("finetuned", "scratch")
BASELINES = {
    "baseline_test": "best epoch on the test images",
    "baseline_last": "last epoch",
}
METRICS = ("accuracy", "balanced_accuracy")


def measure(confusion: list[list[int]]) -> dict[str, float]:
    """Return accuracy and balanced accuracy (mean recall) of a confusion matrix with a row per true class."""
    matrix = np.asarray(confusion)
    recall = np.diag(matrix) / matrix.sum(axis=1)
    return {"accuracy": float(np.trace(matrix) / matrix.sum()), "balanced_accuracy": float(recall.mean())}


def choose_epochs(confusion: list[list[list[int]]]) -> dict[str, dict[str, float]]:
    """Return the baseline's metrics on test images, by how its epoch is chosen (`BASELINES`).

    The best epoch is chosen for each metric on the test images, which no user could do.

    Args:
        confusion: one matrix per epoch, on test images.
    """
    epochs = [measure(matrix) for matrix in confusion]
    return {
        "baseline_test": {metric: max(epoch[metric] for epoch in epochs) for metric in METRICS},
        "baseline_last": epochs[-1],
    }


def summarize(runs: list[dict]) -> dict[str, dict]:
    """Return each arm's metrics by seed, their means, and for our arms the differences to the baselines.

    Args:
        runs: one per seed; each holds a record per arm, with "confusion" on test images. For "baseline", this is a list
            with one matrix per epoch.

    Returns:
        By arm and metric: {"values", "mean"}, and for our arms "less" by baseline. Intervals are Student's t; those of
        differences are paired.
    """
    values: dict[str, list[dict[str, float]]] = {arm: [] for arm in (*OURS, *BASELINES)}
    for run in runs:
        for arm in OURS:
            values[arm].append(measure(run[arm]["confusion"]))
        for arm, metrics in choose_epochs(run["baseline"]["confusion"]).items():
            values[arm].append(metrics)
    columns = {
        arm: {metric: np.array([seed[metric] for seed in seeds]) for metric in METRICS} for arm, seeds in values.items()
    }
    summary: dict[str, dict] = {}
    for arm, by_metric in columns.items():
        summary[arm] = {}
        for metric, column in by_metric.items():
            found = {"values": column.tolist(), "mean": dataclasses.asdict(t_interval(column))}
            if arm in OURS:
                less = {name: dataclasses.asdict(t_interval(column - columns[name][metric])) for name in BASELINES}
                found["less"] = less
            summary[arm][metric] = found
    return summary
