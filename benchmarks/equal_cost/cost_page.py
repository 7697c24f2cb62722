"""The result of the experiment: its JSON, chart and page."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import add_legend, draw_points, new_chart
from benchmarks.equal_cost.cost_config import LABELS, RECIPE, CostConfig
from benchmarks.garment_pairs.drawing import SIDE
from benchmarks.garment_pairs.pairs_space import CLASSES
from benchmarks.intervals import t_interval, verdict
from benchmarks.machine import provenance
from benchmarks.result_files import intervals_in_words, remarks, write_result
from benchmarks.rows import made_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ORDER = ("supernet", "halving", "random")  # in which pairs are compared


def write_cost(output: Path, config: CostConfig, results: Mapping[str, Mapping], *, command: str) -> str:
    """Write the result as .json, .svg, .png and .md; return the page.

    Args:
        output: path of the files without their ending.
        results: what `run_rows` returned for all rows.
    """
    packages = ("optuna",) if "halving" in config.methods else ()
    result = provenance(command, packages=packages) | {"config": config.to_dict(), "rows": dict(results)}
    page = make_cost_page(result, picture=f"{output.name}.svg")
    return write_result(output, result, page, chart=draw_cost(result))


def draw_cost(result: Mapping) -> Figure:
    """Draw the picks of every method: final accuracy by multiply-adds, and by the accuracy that they were picked by."""
    figure, (by_size, by_choice) = new_chart(
        "What each method picks at equal cost",
        [
            ("Size and accuracy of the picks", "million multiply-adds", "test accuracy, final training"),
            ("When picked, and at the end", "held-out accuracy when picked", "test accuracy, final training"),
        ],
    )
    for method in _methods(result):
        rows = _of(result, method)
        final = [row["test"] for row in rows]
        draw_points(by_size, [row["madds"] / 1e6 for row in rows], final, label=LABELS[method])
        draw_points(by_choice, [row["accuracy"] for row in rows], final, label=LABELS[method])
    add_legend(figure)
    return figure


def make_cost_page(result: Mapping, *, picture: str) -> str:
    """Return the page, from the content of result.json alone."""
    config = CostConfig.from_dict(result["config"])
    supernet, halving = config.supernet, config.halving
    models = "\n".join(_summary(result, method) for method in _methods(result))
    pairs = itertools.combinations(sorted(_methods(result), key=_ORDER.index), 2)
    differences = "\n".join(_difference(result, *pair) for pair in pairs)
    rows = "\n".join(_row(name, row) for name, row in result["rows"].items())
    choices = ", ".join(f"{gene} {choice}" for gene, choice in enumerate(config.space.layer_choices[0]))
    seeds = f"{'Seed' if len(config.seeds) == 1 else 'Seeds'} {', '.join(map(str, config.seeds))}"
    return f"""# Does a supernet pay? Three ways to search at equal cost

    python -m benchmarks.garment_pairs
    {result["command"]}

{made_in_words(result)}

Space "small" with {config.blocks + 1} choices a layer and {CLASSES} classes at {SIDE} pixels, garment pairs, models \
of at most {config.max_madds / 1e6:g} M multiply-adds.
A [genome](../../docs/search.md#genomes) has a number for each layer: {choices}.
{seeds}; chance is {1 / CLASSES:.3f}. [The plan](../../benchmarks/equal_cost/plan.md) says how cost is counted, and \
what would count as shown.

- {LABELS["supernet"]}: {supernet.steps} fair steps of batch {supernet.batch_size}, learning rate \
{supernet.learning_rate:g}, residual gamma {supernet.residual_gamma:g}; then \
{supernet.population * (supernet.generations + 2)} models by one-shot accuracy.
- {LABELS["random"]}: models trained for {config.random_epochs:g} epoch{"s" * (config.random_epochs != 1)} each.
- {LABELS["halving"]}: models trained for up to {halving.epochs:g} epochs, {halving.rungs} rungs, factor \
{halving.factor}.

All are measured on the same {config.images} held-out images. Each pick is then trained anew for \
{config.final_epochs:g} epochs, which is not part of the budget. Trainings of models on their own are by recipe \
"{RECIPE}"{", with zero_gamma" * config.zero_gamma}.

| method | test accuracy of the picks | models seen | of which trained to the end | share of the budget \
| CPU s of the search | CPU s of the final training |
|---|---|---|---|---|---|---|
{models}

| | difference of test accuracy | the first is |
|---|---|---|
{differences}

Means over the seeds. {intervals_in_words(len(config.seeds))}

| row | picked genome | M multiply-adds | accuracy when picked | lowest to highest seen | test accuracy \
| with measured statistics | models seen | cost, 10^12 multiply-adds | CPU s of the search |
|---|---|---|---|---|---|---|---|---|---|
{rows}

Lowest to highest seen: of halving, at its first rung.

![What each method picks]({picture})
{remarks(result)}"""


def _summary(result: Mapping, method: str) -> str:
    rows = _of(result, method)
    means = {name: np.mean([row[name] for row in rows]) for name in ("models", "finished")}
    share = np.mean([row["cost"] / row["budget"] for row in rows])
    seconds = [np.mean([row["cpu_seconds"][phase] for row in rows]) for phase in ("search", "final")]
    cells = (
        *(LABELS[method], t_interval(_final(result, method))),
        *(f"{means['models']:.1f}", f"{means['finished']:.1f}", f"{share:.3f}"),
        *(f"{value:.0f}" for value in seconds),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _difference(result: Mapping, first: str, second: str) -> str:
    difference = t_interval(_final(result, first) - _final(result, second))
    return f"| {LABELS[first]} less {LABELS[second]} | {difference} | {verdict(difference)} |"


def _row(name: str, row: Mapping) -> str:
    low, high = row["spread"]
    cells = (
        *(name, ",".join(map(str, row["genome"])), f"{row['madds'] / 1e6:.3f}", f"{row['accuracy']:.3f}"),
        *(f"{low:.3f} to {high:.3f}", f"{row['test']:.4f}", f"{row['test_measured']:.4f}", row["models"]),
        *(f"{row['cost'] / 1e12:.3f}", f"{row['cpu_seconds']['search']:.0f}"),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _final(result: Mapping, method: str) -> np.ndarray:
    """Return the test accuracies of a method's picks, (seeds,)."""
    return np.array([row["test"] for row in _of(result, method)])


def _methods(result: Mapping) -> list[str]:
    return [method for method in LABELS if method in result["config"]["methods"]]


def _of(result: Mapping, method: str) -> list[Mapping]:
    return [result["rows"][f"{method}/{seed}"] for seed in result["config"]["seeds"]]
