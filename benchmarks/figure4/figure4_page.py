"""The result of Figure 4: figure4.json, and the chart and the page that are made from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import draw_band, new_chart
from benchmarks.figure4.meta_model import META_GENOME, Trained, compare_relu, meta_genome
from benchmarks.intervals import Estimate, estimates_to_dict
from benchmarks.machine import describe, provenance
from benchmarks.result_files import intervals_in_words, remarks, seeds_in_words, write_result
from benchmarks.stand_in_spaces import IDENTITY
from scarlet_tf.data import DataConfig
from scarlet_tf.image_size import height_and_width
from scarlet_tf.training.config import TrainConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KIND_LABELS = {"let": "LET", "let_relu": "LET and ReLU"}


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
        "data": {"data_dir": None} | data.to_dict(),
        "config": config.to_dict(),
        "networks": {
            network: {
                kind: {"steps": run.steps.tolist(), "curve": run.curve.tolist(), "test": run.test.tolist()}
                for kind, run in kinds.items()
            }
            for network, kinds in trained.items()
        },
        "without_less_with_relu": {network: estimates_to_dict(values) for network, values in comparisons.items()},
    }
    return write_result(
        Path(output) / "figure4", result, make_figure4_page(result), chart=draw_figure4(result), indent=None
    )


def draw_figure4(result: dict) -> Figure:
    """Draw the content of figure4.json: training accuracy by step, a panel for each network."""
    figure, panels = new_chart(
        "The meta model with and without ReLU after its LETs",
        [(f"{network}, mean and range of seeds", "steps", "training accuracy") for network in result["networks"]],
    )
    for axes, kinds in zip(panels, result["networks"].values(), strict=True):
        for kind, run in kinds.items():
            curve = np.array(run["curve"])
            label = f"{_KIND_LABELS[kind]}, test {np.mean(run['test']):.4f}"
            draw_band(
                axes, run["steps"], curve.mean(axis=0), low=curve.min(axis=0), high=curve.max(axis=0), label=label
            )
        axes.legend(loc="lower right", fontsize=8)  # accuracy rises, so nothing is drawn there
    return figure


def make_figure4_page(result: dict) -> str:
    """Return figure4.md from the content of figure4.json."""
    config, data = result["config"], result["data"]
    networks = "\n".join(_network(network) for network in result["networks"])
    rows = "\n".join(_network_row(network, result) for network in result["networks"])
    steps = result["networks"]["small"]["let"]["steps"]
    seeds = len(result["networks"]["small"]["let"]["test"])
    return f"""# Figure 4: the meta model with and without ReLU after its LETs

    {result["command"]}

{describe(result)}; {seeds_in_words(seeds)}.
{data["name"]} at {"x".join(map(str, height_and_width(data["image_size"])))}, recipe "{config["recipe"]}", \
{steps[-1]:.0f} steps of batch {config["batch_size"]} (epochs: {config["epochs"]:g}).
{data["search_validation"]} of the training images are held out; test accuracy is on the test set. The paper's meta \
model stands here in
two ways ({_genes(META_GENOME)}):

{networks}

Both kinds of a seed start from the same weights and see the same batches.

![Training accuracy over steps](figure4.svg)

| network | LET: training, test | LET and ReLU: training, test | difference in training | difference in test |
|---|---|---|---|---|
{rows}

Training accuracy is the mean over the last of {len(steps)} parts of the steps; differences are without less with ReLU.
{intervals_in_words(seeds)}
The paper states no numbers.
{remarks(result)}"""


def _network(network: str) -> str:
    genome = meta_genome(network)
    lets = f"{genome.count(IDENTITY)} LETs"
    if genome == META_GENOME:
        return f"- {network}: all {len(genome)} layers with {lets}, at a quarter of the width."
    last = len(genome) - 1
    return (
        f'- {network}: the space "{network}"; its layer i of {len(genome)} takes the gene of layer '
        f"round({len(META_GENOME) - 1} i / {last}): {_genes(genome)}, so {lets}."
    )


def _network_row(network: str, result: dict) -> str:
    kinds, less = result["networks"][network], result["without_less_with_relu"][network]
    ends = [
        f"{np.mean(kinds[kind]['curve'], axis=0)[-1]:.4f}, {np.mean(kinds[kind]['test']):.4f}" for kind in _KIND_LABELS
    ]
    return f"| {network} | {' | '.join(ends)} | {Estimate(**less['training'])} | {Estimate(**less['test'])} |"


def _genes(genome: tuple[int, ...]) -> str:
    return ",".join(map(str, genome))
