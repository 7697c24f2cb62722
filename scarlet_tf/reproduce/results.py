"""What the reproductions of figures leave behind: JSON, a picture, and lines of text."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import numpy as np

from scarlet_tf.bootstrap import Estimate
from scarlet_tf.files import write_atomically
from scarlet_tf.machine import machine
from scarlet_tf.report.charts import Histogram, Line, Panel, Points, draw_chart
from scarlet_tf.report.picture import write_picture
from scarlet_tf.reproduce.figure1 import Arm, Figure1Config, compare
from scarlet_tf.reproduce.figure4 import Trained, compare_relu
from scarlet_tf.reproduce.figure6 import UNCONSTRAINED, Figure6Config, SearchArm, compare_identity
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
    """Writes figure1.json, .svg and .png into the folder and returns the result as text."""
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
    """Writes figure4.json, .svg and .png into the folder and returns the result as text."""
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


def write_figure6(
    output: str | Path, config: Figure6Config, arms: dict[str, SearchArm], *, evaluation: dict, command: str
) -> str:
    """Writes figure6.json, .svg, .png and .md into the folder and returns the page.

    Args:
        evaluation: how accuracy was measured, JSON values: "supernet" (its fingerprint), "bn", "images" and
            "calibration_images".
        command: what is to be called to get this again.
    """
    comparisons = {arm: compare_identity(arms, constrained=arm) for arm in arms if arm != UNCONSTRAINED}
    result = {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "config": dataclasses.asdict(config),
        "evaluation": evaluation,
        "arms": {name: _searches(arm) for name, arm in arms.items()},
        "identity_share_without_less_with": {name: _estimates(values) for name, values in comparisons.items()},
    }
    _write(output, "figure6", result, _draw_figure6(arms))
    page = make_figure6_page(result)
    write_atomically(Path(output) / "figure6.md", page)
    return page


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
        label = _bound_label(arm.accuracy_above)
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


def _bound_label(accuracy_above: float | None) -> str:
    return "no constraint" if accuracy_above is None else f"accuracy > {accuracy_above:.4g}"


def make_figure6_page(result: dict) -> str:
    """figure6.md from the content of figure6.json."""
    config, evaluation, computer = result["config"], result["evaluation"], result["machine"]
    bounds = [
        f"{arm['accuracy_above']:.4g} (quantile {quantile:g})"
        for quantile, arm in zip(config["quantiles"], list(result["arms"].values())[1:], strict=True)
    ]
    arms = "\n".join(_arm_row(arm) for arm in result["arms"].values())
    differences = "\n".join(
        f"| {_bound_label(result['arms'][name]['accuracy_above'])} | {Estimate(**values['final_population'])} | "
        f"{Estimate(**values['mean_over_generations'])} |"
        for name, values in result["identity_share_without_less_with"].items()
    )
    return f"""# Figure 6: search with and without a least accuracy

    {result["command"]}

{result["date"]}; {computer["cpu"]} ({computer["architecture"]}), {computer["cores"]} cores of which the run was given \
{computer["cores_used"]}; seeds 0 to {config["seeds"] - 1}.
Population {config["population"]}, {config["generations"]} generations, the paper's objectives and weights; all arms \
search the same supernet
({evaluation["supernet"]}) with the same settings, without a bound on multiply-adds. One-shot accuracy is on \
{evaluation["images"]}
images held out for the search, BN {evaluation["bn"]} on {evaluation["calibration_images"]} training images.

Acc_min: {", ".join(bounds)}, of the accuracies of {config["draws"]} models drawn uniformly, on the same images.

![Fronts, and share of identities](figure6.svg)

| arm, mean of the seeds | identity share: generation 0 | last | mean | accuracy of the last population | evaluated |
|---|---|---|---|---|---|
{arms}

| identity share without the constraint less with | last population | mean over generations |
|---|---|---|
{differences}

In brackets 95 % percentile bootstrap intervals over the seeds, in pairs; with three seeds that is nearly their range.
Above 0 the constraint keeps identities out, as in the paper. The picture's fronts are the members of the last
population that no other beats in both accuracy and multiply-adds.

The paper (ImageNet, 19 layers, 100 generations, Acc_min 0.4): without the constraint the share grows from 0.08 to about
0.2, with it it settles at about 0.05, and the last population's accuracies rise from 0.25..0.57 to 0.4..0.65.
"""


def _arm_row(arm: dict) -> str:
    share, accuracies = np.array(arm["identity_share"]), np.array(arm["accuracy_range"]).mean(axis=0)
    return (
        f"| {_bound_label(arm['accuracy_above'])} | {share[:, 0].mean():.3f} | {share[:, -1].mean():.3f} | "
        f"{share.mean():.3f} | {accuracies[0]:.3f}..{accuracies[1]:.3f} | {np.mean(arm['evaluated']):.0f} |"
    )


def _estimates(values: dict[str, Estimate]) -> dict[str, dict]:
    return {name: dataclasses.asdict(value) for name, value in values.items()}


def _differences(comparisons: dict[str, dict[str, Estimate]]) -> list[str]:
    lines = ["differences, [95 % bootstrap interval over seeds]:"]
    return lines + [f"  {what}, {name}: {value}" for what, all_ in comparisons.items() for name, value in all_.items()]


def _write(output: str | Path, name: str, result: dict, picture: str) -> None:
    write_atomically(Path(output) / f"{name}.json", json.dumps(result) + "\n")
    write_picture(Path(output) / name, picture)
