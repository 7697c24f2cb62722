"""Output files of the figures: JSON, a picture, and a page."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from scarlet_tf.data import DataConfig
from scarlet_tf.files import write_atomically
from scarlet_tf.intervals import Estimate
from scarlet_tf.machine import provenance
from scarlet_tf.report.charts import Histogram, Line, Panel, Points, draw_chart
from scarlet_tf.report.picture import write_picture
from scarlet_tf.reproduce.figure1 import Arm, compare
from scarlet_tf.reproduce.figure4 import Trained, compare_relu
from scarlet_tf.reproduce.figure6 import UNCONSTRAINED, Figure6Config, SearchArm, compare_identity
from scarlet_tf.reproduce.pages import (
    ARM_LABELS,
    bound_label,
    make_figure1_page,
    make_figure4_page,
    make_figure6_page,
)
from scarlet_tf.reproduce.settings import Figure1Config
from scarlet_tf.training.config import TrainConfig

_KIND_LABELS = {"let": "LET", "let_relu": "LET and ReLU"}
_BINS = 24  # of the histogram


def write_figure1(output: str | Path, config: Figure1Config, arms: dict[str, Arm], *, command: str) -> str:
    """Write figure1.json, .svg, .png and .md into a folder, and return the page.

    Args:
        output: the folder.
        config: the experiment.
        arms: what `run_figure1` returned.
        command: the command line that reproduces the figure.
    """
    comparisons = {name: compare(arms, baseline=name) for name in arms if name != "let"}
    result = provenance(command) | {
        "config": dataclasses.asdict(config)
        | {"warmup_steps": config.warmup_steps, "images": arms["let"].images, "data": _settings(config.data)},
        "arms": {
            name: {
                "genomes": arm.genomes.tolist(),
                "steps": arm.steps.tolist(),
                "mean": arm.mean.tolist(),
                "spread": arm.spread.tolist(),
                "last_accuracies": arm.accuracies[:, -1].tolist(),
                "last_without_identity": arm.without_identity[:, -1].tolist(),
            }
            for name, arm in arms.items()
        },
        "genomes_without_identity": config.genomes_without_identity().tolist(),
        "let_less": {name: _estimates(values) for name, values in comparisons.items()},
    }
    page = make_figure1_page(result, picture="figure1.svg")
    return _write(output, "figure1", result, picture=_draw_figure1(arms), page=page)


def _draw_figure1(arms: dict[str, Arm]) -> str:
    values = np.concatenate([arm.accuracies[:, -1].ravel() for arm in arms.values()])
    edges = np.linspace(values.min(), values.max(), _BINS + 1)
    means, spreads, last = [], [], []
    for name, arm in arms.items():
        label, x = ARM_LABELS[name], arm.steps.tolist()
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


def write_figure4(
    output: str | Path, data: DataConfig, config: TrainConfig, trained: dict[str, dict[str, Trained]], *, command: str
) -> str:
    """Write figure4.json, .svg, .png and .md into a folder, and return the page.

    Args:
        output: the folder.
        data, config: as for `run_figure4`.
        trained: what `run_figure4` returned.
        command: the command line that reproduces the figure.
    """
    comparisons = {network: compare_relu(kinds) for network, kinds in trained.items()}
    result = provenance(command) | {
        "data": _settings(data),
        "config": config.to_dict(),
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
    picture = draw_chart(panels, title="The meta model with and without ReLU after its LETs")
    return _write(output, "figure4", result, picture=picture, page=make_figure4_page(result))


def write_figure6(
    output: str | Path,
    config: Figure6Config,
    arms: dict[str, SearchArm],
    *,
    supernet: dict,
    evaluation: dict,
    command: str,
) -> str:
    """Write figure6.json, .svg, .png and .md into a folder, and return the page.

    Args:
        output: the folder.
        config: the experiment.
        arms: what `run_figure6` returned.
        supernet: the supernet's "fingerprint", "step" and "config", as in `TrainedSupernet`, as JSON values.
        evaluation: how accuracy was measured, as JSON values: "bn", and the numbers of "images" and
            "calibration_images" that were used.
        command: the command line that reproduces the figure.
    """
    comparisons = {arm: compare_identity(arms, constrained=arm) for arm in arms if arm != UNCONSTRAINED}
    result = provenance(command) | {
        "config": dataclasses.asdict(config),
        "supernet": supernet,
        "evaluation": evaluation,
        "arms": {name: _searches(arm) for name, arm in arms.items()},
        "identity_share_without_less_with": {name: _estimates(values) for name, values in comparisons.items()},
    }
    return _write(output, "figure6", result, picture=_draw_figure6(arms), page=make_figure6_page(result))


def _searches(arm: SearchArm) -> dict:
    return {
        "accuracy_above": arm.accuracy_above,
        "identity_share": arm.identity_share.tolist(),
        "hypervolume": [search.hypervolume.tolist() for search in arm.searches],
        "accuracy_range": arm.accuracy_range.tolist(),
        "evaluated": [sum(summary.evaluated for summary in search.summaries) for search in arm.searches],
        "fronts": [
            {name: front.values[name].tolist() for name in ("accuracy", "madds", "params")} for front in arm.fronts()
        ],
    }


def _draw_figure6(arms: dict[str, SearchArm]) -> str:
    fronts, shares = [], []
    for arm in arms.values():
        label = bound_label(arm.accuracy_above)
        members = arm.fronts()
        fronts.append(
            Points(
                label=label,
                x=[madds / 1e6 for front in members for madds in front.values["madds"]],
                y=[accuracy for front in members for accuracy in front.values["accuracy"]],
            )
        )
        share = arm.identity_share
        shares.append(
            Line(
                label=label,
                x=range(share.shape[1]),
                y=share.mean(axis=0),
                low=share.min(axis=0),
                high=share.max(axis=0),
            )
        )
    panels = [
        Panel(
            title="fronts of the last populations, all seeds",
            x_label="multiply-adds, millions",
            y_label="one-shot accuracy",
            legend="bottom",
            marks=tuple(fronts),
        ),
        Panel(
            title="mean and range of seeds",
            x_label="generation",
            y_label="share of identities",
            marks=tuple(shares),
        ),
    ]
    return draw_chart(panels, title="Search with and without a least accuracy")


def _estimates(values: dict[str, Estimate]) -> dict[str, dict]:
    return {name: dataclasses.asdict(value) for name, value in values.items()}


def _settings(data: DataConfig) -> dict:
    """Return the config as JSON values, without the location of the data."""
    return {"data_dir": None} | data.to_dict()


def _write(output: str | Path, name: str, result: dict, *, picture: str, page: str) -> str:
    write_atomically(Path(output) / f"{name}.json", json.dumps(result) + "\n")
    write_picture(Path(output) / name, picture)
    write_atomically(Path(output) / f"{name}.md", page)
    return page
