"""Render the benchmark's result as a Markdown page."""

from __future__ import annotations

import numpy as np

from cells.result import BASELINES, METRICS, OURS
from scarlet_tf.intervals import Estimate
from scarlet_tf.machine import describe
from scarlet_tf.markdown import remarks


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

The baseline is `train_baseline` in benchmarks/cells/baseline.py: MobileNetV3Small (minimalistic, random weights), \
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
