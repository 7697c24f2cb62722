"""The page of searches under two costs, with its chart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.charts import add_legend, draw_band, draw_points, new_chart
from benchmarks.machine import describe
from benchmarks.result_files import intervals_in_words, remarks, seeds_in_words, supernet_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELS = {"madds": "under multiply-adds", "instructions": "under instructions"}


def make_page(result: Mapping) -> str:
    """Render the content of latency_search.json as the Markdown page latency_search.md."""
    evaluation, table, prediction = result["evaluation"], result["table"], result["prediction"]
    seeds = len(result["seeds"])
    budgets = "\n".join(
        f"| {budget['budget'] / 1e6:.2f} | {_estimates(budget, _accuracy)} |" for budget in result["budgets"]
    )
    low, high = (f"{bound / 1e6:.2f}" for bound in result["box"])
    return f"""# Searching under instructions: what it buys over multiply-adds

    {result["command"]}

{describe(result)}; emulated by QEMU {table["versions"]["qemu"]}.

{supernet_in_words(result["supernet"])}
It is searched for a high accuracy and a low cost, of equal weight, without constraints: population \
{result["population"]}, {result["generations"]} generations,
{seeds_in_words(seeds)}. The cost is multiply-adds, or instructions of the {table["quantize"]} file on an emulated \
{table["settings"]["cpu"]}, as a
table predicts them. All else is the same. One-shot accuracy in a search is on {evaluation["images"]} held-out images,
BN {evaluation["bn"]} on {evaluation["calibration_images"]} training images.

Each search has a front over its own two objectives, of all models that it evaluated. Up to {result["most"]} models at \
even distances
along it are exported and counted one by one: {_measured(result, "madds")} under multiply-adds, and \
{_measured(result, "instructions")} under instructions.
All accuracies below are one-shot on the test images, which no search sees: luck in a search does not count.

![Accuracy over measured instructions](latency_search.svg)

## Hypervolume

Of test accuracy, 0 to 1, and measured instructions, {low} to {high} million, as a unit box: the instructions that the
table predicts for the space's cheapest and most expensive models, as `cost_box` finds them.

| seed | under multiply-adds | under instructions | gain |
|---|---|---|---|
{_hypervolumes(result)}

{intervals_in_words(seeds)}

## Accuracy within a number of instructions

Test accuracy of the measured model that had the best accuracy in its search, among those that take no more
instructions. Means over the seeds.

| million instructions | under multiply-adds | under instructions | gain |
|---|---|---|---|
{budgets}

## Predicted and measured

On the {prediction["models"]} different models that were measured. Multiply-adds are scaled to instructions by the mean
over these, {prediction["instructions_per_madd"]:.3f} instructions each. On the table's five held-out networks, its mean
error is {_percent(table["mean_error"])}, the largest {_percent(table["max_error"])}.

| prediction | mean error | max error | Kendall's tau |
|---|---|---|---|
{_errors("table", prediction["table"])}
{_errors("multiply-adds", prediction["madds"])}

Files are of stand-alone networks, as a search writes them to pick_N.json: a skipped layer is a LET in the supernet, and
an identity here. Weights are the supernet's where a layer has the same shape in both, else random; BN statistics and
int8 ranges are those of training images. Where a squeeze-and-excite's first convolution is 0 on all of them, its bias
is raised: LiteRT does not run an int8 file with such a layer. Instructions are not a time.
{remarks(result)}"""


def _measured(result: Mapping, cost: str) -> str:
    """Return "23, 20 and 22"."""
    *counts, last = (str(len(search["models"])) for search in result["searches"] if search["cost"] == cost)
    return f"{', '.join(counts)} and {last}" if counts else last


def _hypervolumes(result: Mapping) -> str:
    volumes = {(search["cost"], search["seed"]): search["hypervolume"] for search in result["searches"]}
    rows = []
    for seed in result["seeds"]:
        madds, instructions = volumes["madds", seed], volumes["instructions", seed]
        rows.append(f"| {seed} | {madds:.4f} | {instructions:.4f} | {instructions - madds:+.4f} |")
    return "\n".join([*rows, f"| mean | {_estimates(result['hypervolume'], _volume)} |"])


def _estimates(estimates: Mapping[str, Sequence], number: Callable[[float], str]) -> str:
    """Return the cells of both costs and of the gain, which alone has its interval."""
    value, low, high = estimates["gain"]
    gain = f"{number(value, '+')}" + ("" if low is None else f" [{number(low, '+')}, {number(high, '+')}]")
    return " | ".join([number(estimates["madds"][0]), number(estimates["instructions"][0]), gain])


def _volume(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}"


def _accuracy(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _errors(name: str, found: Mapping) -> str:
    return f"| {name} | {_percent(found['mean_error'])} | {_percent(found['max_error'])} | {found['tau']:.3f} |"


def draw_fronts(result: Mapping) -> Figure:
    """Draw the measured models of all seeds, and the test accuracy within some numbers of instructions."""
    instructions = "measured instructions, millions"
    figure, (points, means) = new_chart(
        f"Searches of one supernet, {seeds_in_words(len(result['seeds']))}",
        [
            ("models along the fronts, all seeds", instructions, "one-shot accuracy on test images"),
            ("within a number of instructions, mean and 95 % interval", instructions, "one-shot accuracy"),
        ],
    )
    budgets = [budget["budget"] / 1e6 for budget in result["budgets"]]
    for cost, label in _LABELS.items():
        models = [model for search in result["searches"] if search["cost"] == cost for model in search["models"]]
        draw_points(
            points,
            [model["measured"] / 1e6 for model in models],
            [model["test_accuracy"] for model in models],
            label=label,
        )
        estimates = [budget[cost] for budget in result["budgets"]]
        values = [value for value, _, _ in estimates]
        low = [value if low is None else low for value, low, _ in estimates]
        high = [value if high is None else high for value, _, high in estimates]
        draw_band(means, budgets, values, low=low, high=high, label=label)
    add_legend(figure)
    return figure
