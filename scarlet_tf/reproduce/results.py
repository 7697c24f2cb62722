"""What the reproductions of figures leave behind: JSON, a picture, and lines of text."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from scarlet_tf.bootstrap import Estimate
from scarlet_tf.files import write_atomically
from scarlet_tf.report.charts import Histogram, Line, Panel, draw_chart
from scarlet_tf.reproduce.figure1 import Arm, Figure1Config, compare
from scarlet_tf.reproduce.figure4 import Trained, compare_relu
from scarlet_tf.training.config import TrainConfig

_ARM_LABELS = {
    "let": "LET, starts as identity",
    "let_normal": "LET, starts at random",
    "plain": "plain identity",
    "none": "no identity",
}
_KIND_LABELS = {"let": "LET", "let_relu": "LET and ReLU"}
_BINS = 24  # of the histogram


def write_figure1(output: str | Path, config: Figure1Config, arms: dict[str, Arm]) -> str:
    """Writes figure1.json and figure1.svg into the folder and returns the result as text."""
    comparisons = {name: compare(arms, baseline=name) for name in arms if name != "let"}
    data = dataclasses.replace(config.data, data_dir=None)
    result = {
        "config": dataclasses.asdict(dataclasses.replace(config, data=data)),
        "arms": {
            name: {
                "genomes": arm.genomes.tolist(),
                "steps": arm.steps.tolist(),
                "mean": arm.mean.tolist(),
                "spread": arm.spread.tolist(),
                "last_accuracies": arm.accuracies[:, -1].tolist(),
            }
            for name, arm in arms.items()
        },
        "let_less": {name: _estimates(values) for name, values in comparisons.items()},
    }
    _write(output, "figure1", result, _draw_figure1(arms))
    lines = ["at the last step, mean over seeds of: mean of the paths, spread of the paths, worst path"]
    for name, arm in arms.items():
        worst = arm.accuracies[:, -1].min(axis=1).mean()
        lines.append(f"  {name}: {arm.mean[:, -1].mean():.3f}, {arm.spread[:, -1].mean():.3f}, {worst:.3f}")
    return "\n".join(lines + _differences({f"let less {name}": values for name, values in comparisons.items()}))


def _draw_figure1(arms: dict[str, Arm]) -> str:
    values = np.concatenate([arm.accuracies[:, -1].ravel() for arm in arms.values()])
    edges = np.linspace(values.min(), values.max(), _BINS + 1)
    means, spreads, last = [], [], []
    for name, arm in arms.items():
        label, x = _ARM_LABELS[name], arm.steps.tolist()
        mean, spread = arm.mean.mean(axis=0), arm.spread.mean(axis=0)
        means.append(Line(label=label, x=x, y=mean, low=mean - spread, high=mean + spread))
        spreads.append(Line(label=label, x=x, y=spread, low=arm.spread.min(axis=0), high=arm.spread.max(axis=0)))
        shares = np.histogram(arm.accuracies[:, -1], edges)[0] / arm.accuracies[:, -1].size
        last.append(Histogram(label=label, edges=edges.tolist(), heights=shares.tolist()))
    panels = [
        Panel(title="mean of paths, band: ± spread", x_label="steps", y_label="training accuracy", marks=tuple(means)),
        Panel(title="spread over paths, band: seeds", x_label="steps", y_label="deviation", marks=tuple(spreads)),
        Panel(title="paths at the last step", x_label="training accuracy", y_label="share", marks=tuple(last)),
    ]
    return draw_chart(panels, title="One-shot training accuracy of a supernet's paths")


def write_figure4(output: str | Path, config: TrainConfig, trained: dict[str, dict[str, Trained]]) -> str:
    """Writes figure4.json and figure4.svg into the folder and returns the result as text."""
    comparisons = {network: compare_relu(kinds) for network, kinds in trained.items()}
    result = {
        "config": dataclasses.asdict(config),
        "networks": {
            network: {
                kind: {"steps": run.steps.tolist(), "curve": run.curve.tolist(), "test": run.test.tolist()}
                for kind, run in kinds.items()
            }
            for network, kinds in trained.items()
        },
        "without_less_with_relu": {network: _estimates(values) for network, values in comparisons.items()},
    }
    panels = [
        Panel(
            title=f"{network}, mean and range of seeds",
            x_label="steps",
            y_label="training accuracy",
            legend="bottom",
            marks=tuple(
                Line(
                    label=f"{_KIND_LABELS[kind]}, test {run.test.mean():.4f}",
                    x=run.steps.tolist(),
                    y=run.curve.mean(axis=0),
                    low=run.curve.min(axis=0),
                    high=run.curve.max(axis=0),
                )
                for kind, run in kinds.items()
            ),
        )
        for network, kinds in trained.items()
    ]
    _write(output, "figure4", result, draw_chart(panels, title="The meta model with and without ReLU after its LETs"))
    lines = ["mean over seeds of: training accuracy in the last part, test accuracy"]
    for network, kinds in trained.items():
        for kind, run in kinds.items():
            lines.append(f"  {network}, {kind}: {run.curve[:, -1].mean():.4f}, {run.test.mean():.4f}")
    return "\n".join(lines + _differences({f"{n}, without less with ReLU": v for n, v in comparisons.items()}))


def _estimates(values: dict[str, Estimate]) -> dict[str, dict]:
    return {name: dataclasses.asdict(value) for name, value in values.items()}


def _differences(comparisons: dict[str, dict[str, Estimate]]) -> list[str]:
    lines = ["differences, [95 % bootstrap interval over seeds]:"]
    return lines + [f"  {what}, {name}: {value}" for what, all_ in comparisons.items() for name, value in all_.items()]


def _write(output: str | Path, name: str, result: dict, picture: str) -> None:
    write_atomically(Path(output) / f"{name}.json", json.dumps(result) + "\n")
    write_atomically(Path(output) / f"{name}.svg", picture)
