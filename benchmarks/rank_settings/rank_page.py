"""The result of the experiment: its JSON, chart and page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import add_legend, draw_points, new_chart
from benchmarks.garment_pairs.drawing import SIDE
from benchmarks.garment_pairs.pairs_space import CLASSES
from benchmarks.intervals import Estimate, verdict
from benchmarks.machine import provenance
from benchmarks.rank.ranking import tau_between, tau_of_trainings
from benchmarks.rank_settings.hypotheses import (
    GOAL,
    NO_ORDER,
    alone,
    answers,
    beside_one_training,
    chance,
    madds,
    one_shot,
    seeds_of_base,
    trainings,
)
from benchmarks.rank_settings.rank_config import BASE, RECIPE, RankConfig, Reference
from benchmarks.result_files import remarks, write_result
from benchmarks.rows import made_in_words
from scarlet_tf.supernet.supernet_config import BN_MODES
from scarlet_tf.training.config import MEASURED_IMAGES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAW_NAMES = {
    "uniform": "drawn uniformly",
    "depth": "drawn uniformly in the number of identities",
    "madds": "one from each of equal intervals of multiply-adds",
}


def write_ranks(output: Path, config: RankConfig, results: Mapping[str, Mapping], *, command: str) -> str:
    """Write the result as .json, .svg, .png and .md; return the page.

    Args:
        output: path of the files without their ending.
        results: what `run_rows` returned for all rows.
    """
    result = provenance(command) | {"config": config.to_dict(), "rows": dict(results)}
    page = make_ranks_page(result, picture=f"{output.name}.svg")
    return write_result(output, result, page, chart=draw_ranks(result), indent=None)


def draw_ranks(result: Mapping) -> Figure:
    """Draw the models' accuracy on their own, with measured statistics, by that with the base's weights."""
    references = [each for each in RankConfig.from_dict(result["config"]).references() if each.measured]
    axes = ("one-shot accuracy, held-out images", "accuracy alone, test images")
    figure, panels = new_chart(
        "Models by the supernet's weights and on their own, there with measured statistics",
        [(f"{DRAW_NAMES[each.draw]}, {each.epochs:g} epochs", *axes) for each in references],
    )
    for reference, panel in zip(references, panels, strict=True):
        for bn in BN_MODES:
            accuracies = one_shot(result, BASE, reference.draw, bn=bn)
            draw_points(panel, accuracies, alone(result, reference), label=f"{bn} statistics")
    add_legend(figure)
    return figure


def make_ranks_page(result: Mapping, *, picture: str) -> str:
    """Return the page, from the content of result.json alone."""
    config = RankConfig.from_dict(result["config"])
    sections = "\n".join(_section(result, config, reference) for reference in config.references())
    base = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(config.supernets[BASE]).items())
    return f"""# Which settings move a supernet's ranking?

    python -m benchmarks.garment_pairs
    {result["command"]}

{made_in_words(result)}

Space "small" with {config.blocks + 1} choices a layer and {CLASSES} classes at {SIDE} pixels, garment pairs. Each \
model is trained on its own by recipe "{RECIPE}",
{config.repeats} times for each number of epochs. [The plan](../../benchmarks/rank_settings/plan.md) says what is \
compared.
The base: {base}.

Kendall's tau-b of one-shot accuracy on {config.held_out} held-out images with the mean test accuracy of a model's \
trainings,
and 95 % bootstrap intervals over the models. The ceiling is the tau of two trainings of the same models.

![Accuracy by the supernet's weights and alone]({picture})
{remarks(result)}
Differences of tau, with recalibrated statistics of the supernet if nothing else is said, are bootstrapped over the \
models. Of H1: tau less {GOAL}.
H1, H3, H5 and the comparison with the ceiling take the mean tau of the base's seeds. The statistics in a title are \
those of the models on their own: moving averages, or measured on {MEASURED_IMAGES:,} training images after the \
training.
{sections}"""


def _title(reference: Reference) -> str:
    statistics = "measured" if reference.measured else "moving"
    return f"{DRAW_NAMES[reference.draw]}, {reference.epochs:g} epochs, {statistics} statistics"


def _section(result: Mapping, config: RankConfig, reference: Reference) -> str:
    actual, each = alone(result, reference), trainings(result, reference)
    single, less_ceiling = beside_one_training(result, config, reference) or (NO_ORDER, None)
    noise = np.sqrt(each.var(axis=1, ddof=1).mean())
    lines = [
        f"\n## {config.models} models, {_title(reference)}\n",
        f"Accuracy alone: mean {actual.mean():.3f}, standard deviation over the models {actual.std(ddof=1):.4f}, over "
        f"trainings of a model {noise:.4f}; of single trainings {each.min():.3f} to {each.max():.3f}.\n",
        f"| | {' | '.join(f'{bn} statistics' for bn in BN_MODES)} | mean one-shot accuracy, {', '.join(BN_MODES)} |",
        "|---|---|---|---|",
        *_rows(result, config, reference),
        f"| multiply-adds alone | {_words(tau_between(madds(result, reference), actual))} | | |",
        f"| ceiling: two trainings | {_words(tau_of_trainings(each))} | | |",
        f"| {BASE} with one training, as the ceiling is | | {single} | |",
        "\n| | hypothesis | difference of tau | it is |\n|---|---|---|---|",
        *_differences(result, config, reference),
        f"| | {BASE} with one training, less the ceiling | {less_ceiling or NO_ORDER} | "
        f"{verdict(less_ceiling) if less_ceiling else NO_ORDER} |",
    ]
    return "\n".join(lines) + "\n"


def _rows(result: Mapping, config: RankConfig, reference: Reference) -> Iterator[str]:
    actual, base = alone(result, reference), dataclasses.asdict(config.supernets[BASE])
    for label, settings in config.supernets.items():
        changes = [f"{name} {value}" for name, value in dataclasses.asdict(settings).items() if value != base[name]]
        taus = [_words(tau_between(one_shot(result, label, reference.draw, bn=bn), actual)) for bn in BN_MODES]
        means = (f"{one_shot(result, label, reference.draw, bn=bn).mean():.3f}" for bn in BN_MODES)
        cells = (f"{label}: {', '.join(changes)}" if changes else label, *taus, ", ".join(means))
        yield f"| {' | '.join(cells)} |"


def _differences(result: Mapping, config: RankConfig, reference: Reference) -> Iterator[str]:
    """Yield a line of the table for each hypothesis, then one for the difference between seeds."""
    for answer in answers(result, config, reference):
        yield f"| {answer.number} | {answer.claim} | {answer.difference or NO_ORDER} | {answer.said} |"
    largest = chance(result, config, reference)
    said = "one seed" if largest is None else f"{largest:.3f}"
    yield f"| | largest difference between {', '.join(seeds_of_base(config))} | {said} | |"


def _words(tau: Mapping | None) -> str:
    return str(Estimate(**tau)) if tau else NO_ORDER
