"""Accuracies of all trainings from their confusion matrices, their means, and their differences in pairs."""

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
    """Return accuracy and balanced accuracy (mean recall) of a confusion matrix, rows the true class."""
    matrix = np.asarray(confusion)
    recall = np.diag(matrix) / matrix.sum(axis=1)
    return {"accuracy": float(np.trace(matrix) / matrix.sum()), "balanced_accuracy": float(recall.mean())}


def choose_epochs(confusion: list[list[list[int]]]) -> dict[str, dict[str, float]]:
    """Return the baseline's metrics on test images, by how its epoch is chosen (`BASELINES`).

    The best epoch on test images is each metric's own, and one that no user could choose.

    Args:
        confusion: a matrix an epoch, on test images.
    """
    epochs = [measure(matrix) for matrix in confusion]
    return {
        "baseline_test": {metric: max(epoch[metric] for epoch in epochs) for metric in METRICS},
        "baseline_last": epochs[-1],
    }


def summarize(runs: list[dict]) -> dict[str, dict]:
    """Return by arm its metrics, a list with a number a seed, their means, and for ours the differences to baselines.

    Args:
        runs: one a seed; each holds by arm a record with "confusion" on test images, for "baseline" a list with a
            matrix an epoch.

    Returns:
        By arm: by metric {"values", "mean"}, and for ours "less" by baseline; intervals are Student's t, in pairs.
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
