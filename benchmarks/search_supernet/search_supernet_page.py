"""The page of searches of a trained supernet."""

from __future__ import annotations

import numpy as np

from benchmarks.machine import describe
from benchmarks.result_files import supernet_in_words
from scarlet_tf.supernet.supernet_config import BN_MODES

_WAYS = {
    "moving": "in the supernet, shared prefixes, moving statistics",
    "recalibrated": "in the supernet, shared prefixes, BN recalibrated",
    "one_by_one": "in the supernet, one model after the other, BN recalibrated",
    "alone": "a Keras model each, built, compiled and run",
}


def make_page(result: dict) -> str:
    """Render the content of search_supernet.json as the Markdown page search_supernet.md."""
    evaluation, speed = result["evaluation"], result["throughput"]
    arms = dict.fromkeys(row["arm"] for row in result["fronts"])
    tables = "\n\n".join(_table([row for row in result["fronts"] if row["arm"] == arm]) for arm in arms)
    times = "\n".join(
        f"| {label} | {np.median(speed['seconds'][way]):.2f} | {speed['ratios'][way]:.3f} |"
        for way, label in _WAYS.items()
    )
    differences = "; ".join(
        f"with {bn} statistics {speed['different_accuracies'][bn]} of {speed['models']}"
        + (f", by at most {most} of {speed['images']} images" if (most := speed["different_answers"][bn]) else "")
        for bn in BN_MODES
    )
    return f"""# Searching a trained supernet: against uniform draws, and how long evaluation takes

    {result["command"]}

{describe(result)}.

{supernet_in_words(result["supernet"])}
Evaluated on {evaluation["images"]} images held out for the search; BN {evaluation["bn"]} on \
{evaluation["calibration_images"]} training images.
The searches are those of [Figure 6](figure6.md).

## At equal evaluations

The first {result["evaluations"]} models that a search evaluated, those of its first generation and infeasible ones \
included, against
{result["evaluations"]} different models drawn uniformly and evaluated in the same way. Only models that satisfy the \
search's constraint
enter a front. Hypervolume: of that front in the unit box that `SearchConfig` measures it in.

{tables}

## Evaluating one generation

The first {speed["models"]} models that the last generation of a search evaluated, {speed["images"]} images, medians \
of {len(speed["seconds"]["alone"])} interleaved
rounds after one that does not count; what a search has traced long before is traced before that.
Models that have another accuracy as a Keras model than in the supernet:
{differences}.

| evaluated | seconds | ratio to the last row, median of rounds |
|---|---|---|
{times}

All together take {speed["together_over_one_by_one"]:.3f} of the time that they take one by one, with recalibrated \
statistics, and have the same
accuracies.
"""


def _table(rows: list[dict]) -> str:
    lines = [
        f"### {rows[0]['constraints'] or 'No constraint'}",
        "",
        "| seed | search: hypervolume | uniform: hypervolume | search: feasible, their best accuracy | uniform |",
        "|---|---|---|---|---|",
        *(_row(str(row["seed"]), row["search"], row["uniform"]) for row in rows),
        _row("median", *({k: _median([row[name][k] for row in rows]) for k in rows[0][name]} for name in _SIDES)),
    ]
    return "\n".join(lines)


_SIDES = ("search", "uniform")


def _row(name: str, search: dict, uniform: dict) -> str:
    cells = [f"{side['hypervolume']:.4f}" for side in (search, uniform)]
    cells += [f"{side['feasible']:.0f}, {_best(side['best_accuracy'])}" for side in (search, uniform)]
    return f"| {name} | {' | '.join(cells)} |"


def _best(accuracy: float | None) -> str:
    return "none" if accuracy is None else f"{accuracy:.3f}"


def _median(values: list) -> float | None:
    """Return the median of the values that are not None; None if there are none."""
    there = [value for value in values if value is not None]
    return float(np.median(there)) if there else None
