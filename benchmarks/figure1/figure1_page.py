"""The result of Figure 1: figure1.json, and the chart and the page that are made from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import add_legend, draw_band, draw_histogram, new_chart
from benchmarks.figure1.figure1_arms import Arm, compare
from benchmarks.figure1.figure1_config import Figure1Config
from benchmarks.intervals import Estimate, estimates_to_dict
from benchmarks.machine import describe, provenance
from benchmarks.result_files import intervals_in_words, remarks, seeds_in_words, write_result
from benchmarks.stand_in_spaces import IDENTITY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARM_LABELS = {
    "let": "LET, starts as identity",
    "let_normal": "LET, starts at random",
    "plain": "plain identity",
    "none": "no identity",
}
_DIFFERENCES = {
    "mean": "mean",
    "spread": "spread",
    "mean_of_paths_with_identity": "mean of paths with an identity",
    "mean_of_paths_without_identity": "mean of paths without",
}
_COMMON_PATHS = """ A supernet without identities has no paths with one, so
it is compared on as many other random paths, without an identity, that all arms have."""
_BINS = 24  # of the histogram
_MOST = 3  # identities of a path; paths with more count as this many


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
        | {
            "warmup_steps": config.warmup_steps,
            "images": arms["let"].images,
            "data": {"data_dir": None} | config.data.to_dict(),
        },
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
        "let_less": {name: estimates_to_dict(values) for name, values in comparisons.items()},
    }
    page = make_figure1_page(result, picture="figure1.svg")
    return write_result(Path(output) / "figure1", result, page, chart=draw_figure1(result), indent=None)


def draw_figure1(result: dict) -> Figure:
    """Draw the content of figure1.json: mean and spread of the paths by step, and the paths at the last step."""
    figure, (means, spreads, last) = new_chart(
        "One-shot training accuracy of a supernet's paths",
        [
            ("mean of paths, band: ± spread", "steps", "training accuracy"),
            ("spread over paths, band: seeds", "steps", "deviation"),
            ("paths at the last step", "training accuracy", "share"),
        ],
    )
    values = np.concatenate([np.ravel(arm["last_accuracies"]) for arm in result["arms"].values()])
    edges = np.linspace(values.min(), values.max(), _BINS + 1)
    for name, arm in result["arms"].items():
        label, steps = ARM_LABELS[name], arm["steps"]
        mean, spread = np.mean(arm["mean"], axis=0), np.mean(arm["spread"], axis=0)
        draw_band(means, steps, mean, low=mean - spread, high=mean + spread, label=label)
        low, high = np.min(arm["spread"], axis=0), np.max(arm["spread"], axis=0)
        draw_band(spreads, steps, spread, low=low, high=high, label=label)
        accuracies = np.ravel(arm["last_accuracies"])
        draw_histogram(last, edges, np.histogram(accuracies, edges)[0] / accuracies.size, label=label)
    add_legend(figure)
    return figure


def make_figure1_page(result: dict, *, picture: str) -> str:
    """Return figure1.md from the content of figure1.json.

    Args:
        picture: file name of the picture.
    """
    config, arms, less = result["config"], result["arms"], result["let_less"]
    rows = "\n".join(
        f"| {ARM_LABELS[arm]} | {_last(found['mean']):.3f} | {_last(found['spread']):.3f} | "
        f"{np.min(found['last_accuracies'], axis=1).mean():.3f} |"
        for arm, found in arms.items()
    )
    differences = "\n".join(
        f"| {label} | " + " | ".join(_estimate(values.get(what)) for values in less.values()) + " |"
        for what, label in _DIFFERENCES.items()
        if any(what in values for values in less.values())
    )
    return f"""# Figure 1: LET, plain identity, no identity; space {config["space"]}

    {result["command"]}

{describe(result)}; {seeds_in_words(config["seeds"], first=config["first_seed"])}.
Space "{config["space"]}" with {len(arms["let"]["genomes"][0])} layers, {config["data"]["name"]}, {config["steps"]} \
fair steps of batch {config["batch_size"]} ({config["warmup_steps"]} of them warm-up), \
learning rate {config["learning_rate"]:g}.

A plain identity learns nothing: the channels that a layer's input and output share pass on, new ones are zero, and at
stride 2 the 2x2 max pool comes first. LETs start as just that, where they are not said to start at random. All arms
of a seed share their other first weights, and their batches. Measured: {config["paths"]} random paths on \
{config["images"]} training images,
BN with the statistics of these images.

![Mean, spread and last accuracies of the paths]({picture})

| at the last step, mean of the seeds | mean of the paths | spread (deviation) over the paths | worst path |
|---|---|---|---|
{rows}

| at the last step | {" | ".join(f"LET less {ARM_LABELS[arm]}" for arm in less)} |
|---|{"---|" * len(less)}
{differences}

{intervals_in_words(config["seeds"])}{_COMMON_PATHS if "none" in less else ""}

{_by_identities(arms)}

The paper (ImageNet, 19 layers, 60 epochs): with LETs the mean is about 20 points higher than with plain identities and
the spread much lower, and with plain identities quite some paths stay below 30 %.
{remarks(result)}"""


def _by_identities(arms: dict) -> str:
    """Return a table of the mean accuracy at the last step of the paths with 0, 1, ... identities."""
    arms = {arm: found for arm, found in arms.items() if arm != "none"}
    held = {arm: np.minimum((np.array(f["genomes"]) == IDENTITY).sum(axis=1), _MOST) for arm, f in arms.items()}
    lines = [
        f"| identities of a path | paths | {' | '.join(ARM_LABELS[arm] for arm in arms)} |",
        f"|---|---|{'---|' * len(arms)}",
    ]
    for count in np.unique(held["let"]):
        means = [np.array(found["last_accuracies"])[:, held[arm] == count].mean() for arm, found in arms.items()]
        label = f"{count} or more" if count == _MOST else f"{count}"
        cells = (label, str((held["let"] == count).sum()), *(f"{mean:.3f}" for mean in means))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _last(curves: list) -> float:
    """Return the last value of each seed's curve, averaged over seeds; curves have shape (seeds, T)."""
    return float(np.mean(curves, axis=0)[-1])


def _estimate(values: dict | None) -> str:
    return "" if values is None else str(Estimate(**values))
