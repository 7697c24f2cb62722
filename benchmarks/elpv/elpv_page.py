"""The page of solar cells: accuracies from confusion matrices, means over seeds, paired differences to the baseline."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.intervals import Estimate, t_interval
from benchmarks.machine import describe
from benchmarks.result_files import remarks

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


def make_page(result: dict) -> str:
    """Render the content of elpv.json as the Markdown page elpv.md."""
    images, summary = result["images"], result["summary"]
    train, test = (sum(images[split].values()) for split in ("train", "test"))
    rows = "\n".join(_row(arm, summary[arm], result) for arm in (*OURS, *BASELINES))
    pairs = "\n".join(_pair(arm, name, summary[arm]) for arm in OURS for name in BASELINES)
    return f"""# Photographs of solar cells in two uneven classes

    {result["command"]}

{describe(result)}.

{train + test:,} grey photographs of the package elpv-dataset at {result["side"]} x {result["side"]} pixels, \
{images["train"]["defective"] + images["test"]["defective"]:,} of them defective (probability of a
defect above a half). {test:,} are test images, of each class the same share, drawn once for all seeds. On the other \
{train:,}
all arms train, with weighted classes; ours keep the weights of the last step. The baseline
trains for at least as many seconds as the slower of the other two with the same seed, on the same cores, one after \
the other. The clocks include
TensorFlow's tracing, and no evaluation.

Means over the seeds {", ".join(str(run["seed"]) for run in result["runs"])}; in brackets 95 % Student's t intervals.

| network | parameters | epochs | seconds | accuracy | balanced accuracy |
|---|---|---|---|---|---|
{rows}

Differences in pairs of one seed:

| network | less the baseline's | accuracy | balanced accuracy |
|---|---|---|---|
{pairs}

The baseline is `train_baseline` in benchmarks/elpv/trainings.py: MobileNetV3Small (minimalistic, random weights), \
Adam, flips.
Its best epoch on the test images is a choice that no user can make, and each metric is that of its own best epoch.
{remarks(result)}"""


def _row(arm: str, metrics: dict, result: dict) -> str:
    runs = [run[arm if arm in OURS else "baseline"] for run in result["runs"]]
    cells = [
        result["arms"][arm] if arm in OURS else f"baseline, {BASELINES[arm]}",
        f"{runs[0]['params']:,}",
        f"{np.mean([run['epochs'] for run in runs]):.3g}",
        f"{np.mean([run['seconds'] for run in runs]):.0f}",
        *(str(Estimate(**metrics[metric]["mean"])) for metric in METRICS),
    ]
    return f"| {' | '.join(cells)} |"


def _pair(arm: str, baseline: str, metrics: dict) -> str:
    differences = [str(Estimate(**metrics[metric]["less"][baseline])) for metric in METRICS]
    return f"| {arm} | {BASELINES[baseline]} | {' | '.join(differences)} |"
