"""Summarise the runs: medians with bootstrap intervals, as a dictionary for JSON and as a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.intervals import bootstrap
from benchmarks.machine import describe
from benchmarks.search.methods import METHODS

FIGURES = ("hypervolume", "hypervolume_all", "best_accuracy")
OURS = "mixture"
_LABELS = {
    "mixture": "mixture: random 0.2, reinforced 0.65, roulette 0.15",
    "random": "random mutation alone",
    "roulette": "roulette mutation alone",
    "pymoo_point": "pymoo's NSGA-II, single-point crossover, each gene redrawn with 1/19",
    "pymoo_sbx": "pymoo's NSGA-II, its default SBX and polynomial mutation, rounded",
}


def summarise(runs: Sequence[dict]) -> list[dict]:
    """Return one object per objective and method, with [value, low, high] of each figure's median (95 %).

    "mixture_above" is how much the mixture's median hypervolume exceeds this method's. "wins" is the share of all pairs
    of their runs in which the mixture's hypervolume is greater.
    """
    rows = []
    for objective in dict.fromkeys(run["objective"] for run in runs):
        of = {
            method: sorted((r for r in runs if (r["objective"], r["method"]) == (objective, method)), key=_seed)
            for method in METHODS
        }
        for method in [method for method in METHODS if of[method]]:
            row = {"objective": objective, "method": method, "runs": len(of[method])}
            for figure in FIGURES:
                row[figure] = _interval(np.median, _column(of[method], figure))
            if method != OURS and len(of[OURS]) == len(of[method]):
                both = np.stack([_column(of[name], "hypervolume") for name in (OURS, method)], axis=1)
                row["mixture_above"] = _interval(lambda pair: np.median(pair[:, 0]) - np.median(pair[:, 1]), both)
                row["wins"] = round(float((both[:, :1] > both[:, 1]).mean()), 4)
            rows.append(row)
    return rows


def make_page(result: dict) -> str:
    """Render the content of search.json as the Markdown page search.md."""
    overhead, timed = result["overhead"], result["overhead_measured"]
    tables = "\n\n".join(_table(objective, result["summary"]) for objective in _objectives(result["summary"]))
    lines = "\n".join(
        f"| {name} | {ms['cpu_ms']:.1f} | {ms['cpu_p90_ms']:.1f} | {ms['wall_ms']:.1f} | {ms['wall_p90_ms']:.1f} |"
        for name, ms in overhead.items()
    )
    return f"""# Search: mutation operators at equal evaluations

    {result["command"]}

{describe(result)}.

Space `scarlet`: 19 layers, 13 choices. Accuracy is a formula whose best model is known (accuracy 1): separable, a sum
over layers, or epistatic, with a further term of every two neighbouring layers; multiply-adds and params are
counted. Population {result["population"]}, {result["evaluations"]} evaluated models, no constraints, \
seeds {min(result["seeds"])}..{max(result["seeds"])}. The controller
has the settings that are `ControllerConfig`'s defaults.

Hypervolume: of the final population in the unit box that `SearchConfig` measures it in. Medians over the seeds with
95 % bootstrap intervals. Mixture above: its median hypervolume minus this method's. Wins: the share of pairs of runs in
which the mixture's hypervolume is the greater one. Nothing here is accuracy on images.

{tables}

## Overhead

    {timed["command"]}

{describe(timed)}.
Milliseconds of a generation without its evaluations: population {result["population"]}, 19 genes, 3 objectives. CPU: \
all that is
computed, the archive's content included; wall: with what waits for the disk, and for whatever else runs on the machine.

| | CPU, median | p90 | wall, median | p90 |
|---|---|---|---|---|
{lines}
"""


def _table(objective: str, summary: Sequence[dict]) -> str:
    rows = [
        f"| {_LABELS[row['method']]} | {_text(row['hypervolume'])} | {_text(row.get('mixture_above'))} | "
        f"{row.get('wins', '')} | {_text(row['hypervolume_all'])} | {_text(row['best_accuracy'])} |"
        for row in summary
        if row["objective"] == objective
    ]
    head = "| method | hypervolume | mixture above | wins | hypervolume of all evaluated | best accuracy |"
    return "\n".join([f"## {objective.capitalize()}", "", head, "|---|---|---|---|---|---|", *rows])


def _objectives(summary: Sequence[dict]) -> list[str]:
    return list(dict.fromkeys(row["objective"] for row in summary))


def _text(interval: Sequence[float] | None) -> str:
    return "" if interval is None else "{:.4f} [{:.4f}, {:.4f}]".format(*interval)


def _interval(statistic, samples: np.ndarray) -> list[float]:
    estimate = bootstrap(statistic, samples)
    return [round(number, 5) for number in (estimate.value, estimate.low, estimate.high)]


def _column(runs: Sequence[dict], figure: str) -> np.ndarray:
    return np.array([run[figure] for run in runs])


def _seed(run: dict) -> int:
    return run["seed"]
