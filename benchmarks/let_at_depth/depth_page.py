"""The result of the experiment: its JSON, chart and page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import add_legend, draw_histogram, new_chart, write_chart
from benchmarks.intervals import Estimate, t_interval
from benchmarks.let_at_depth.depth_config import ARMS, LABELS, DepthConfig, changes_channels, measured_paths
from benchmarks.let_at_depth.reasons_page import draw_reasons, reasons_section
from benchmarks.machine import describe, provenance
from benchmarks.result_files import intervals_in_words, remarks, write_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEASURES = {
    ("training", "fair"): "paths of fair draws",
    ("training", "common"): "common paths with identities",
    ("training", "without"): "common paths without identity",
    ("held_out", "fair"): "paths of fair draws, held-out images",
    ("moving", "fair"): "paths of fair draws, moving statistics",
}
_BINS = 20


def write_depth(output: Path, config: DepthConfig, results: Mapping[str, Mapping], *, command: str) -> str:
    """Write the result as .json, .svg, .png and .md, and charts of the explained conditions; return the page.

    Args:
        output: path of the files without their ending.
        results: what `run_rows` returned for all rows.
    """
    result = provenance(command) | {"config": dataclasses.asdict(config), "rows": dict(results)}
    for label in config.explained:
        write_chart(f"{output}_{label}", draw_reasons(result, config, label))
    page = make_depth_page(result, config, picture=f"{output.name}.svg")
    return write_result(output, result, page, chart=draw_depth(result, config), indent=None)


def accuracies(result: Mapping, config: DepthConfig, label: str, arm: str, *, measure: str, group: str) -> np.ndarray:
    """Return the accuracies that an arm's paths have at the end of training: (seeds, paths)."""
    rows = [result["rows"][f"{label}/{arm}/{seed}"]["end"] for seed in config.seeds]
    return np.array([row[measure][group] for row in rows])


def draw_depth(result: Mapping, config: DepthConfig) -> Figure:
    """Draw histograms of the fair paths' training accuracies, a panel for each condition."""
    figure, axes = new_chart(
        "Training accuracy of a supernet's paths", [(label, "accuracy", "share") for label in config.conditions]
    )
    for label, panel in zip(config.conditions, axes, strict=True):
        values = {
            arm: accuracies(result, config, label, arm, measure="training", group="fair").ravel() for arm in config.arms
        }
        every = np.concatenate(list(values.values()))
        edges = np.linspace(every.min(), every.max(), _BINS + 1)
        for arm, value in values.items():
            draw_histogram(panel, edges, np.histogram(value, edges)[0] / len(value), label=LABELS[arm])
    add_legend(figure)
    return figure


def make_depth_page(result: Mapping, config: DepthConfig, *, picture: str) -> str:
    """Return the page of the result."""
    sections = "\n".join(_section(result, config, label) for label in config.conditions)
    name = picture.removesuffix(".svg")
    for label in config.explained:
        sections += f"\n{reasons_section(result, config, label)}\n![{label}: what identities do]({name}_{label}.svg)"
    made = "\n".join(dict.fromkeys(f"{describe(row['made'])}." for row in result["rows"].values()))
    count = len(config.conditions)
    conditions = f"{count} condition{'s' * (count > 1)}"
    seeds = f"{'Seed' if len(config.seeds) == 1 else 'Seeds'} {', '.join(map(str, config.seeds))}"
    return f"""# LET at depth: garment pairs, {conditions}

    {result["command"]}

{made}

{seeds}; chance is 0.010. [The plan](../../benchmarks/let_at_depth/plan.md) says what is compared, and what would count
as shown.

![Training accuracy of the paths]({picture})
{sections}

{intervals_in_words(len(config.seeds))}
{remarks(result)}"""


def _section(result: Mapping, config: DepthConfig, label: str) -> str:
    condition = config.conditions[label]
    settings = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(condition).items())
    lines = [
        f"\n## {label}: {settings}\n",
        "| arm | mean | spread | worst path | held-out mean | mean with moving statistics | mean halfway |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm in config.arms:
        fair = accuracies(result, config, label, arm, measure="training", group="fair")
        more = [accuracies(result, config, label, arm, measure=m, group="fair").mean() for m in ("held_out", "moving")]
        halves = [result["rows"][f"{label}/{arm}/{seed}"]["halfway"]["training"]["fair"] for seed in config.seeds]
        cells = [fair.mean(), fair.std(axis=1).mean(), fair.min(axis=1).mean(), *more, np.mean(halves)]
        lines.append(f"| {LABELS[arm]} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    others = [arm for arm in config.arms if arm != "let"]
    if "let" in config.arms and others:
        lines += [
            f"\n| LET, starts as identity, less | {' | '.join(LABELS[arm] for arm in others)} |",
            f"|---|{'---|' * len(others)}",
        ]
        for (measure, group), words in _MEASURES.items():
            for what in ("mean", "spread"):
                cells = [_less(result, config, label, arm, measure=measure, group=group, what=what) for arm in others]
                lines.append(f"| {what}: {words} | {' | '.join(cells)} |")
    lines += ["", *_by_identities(result, config, label)]
    return "\n".join(lines)


def _less(result, config, label: str, other: str, *, measure: str, group: str, what: str) -> str:
    """Return the interval of LET's mean or spread less another arm's; "" if the arm has no such paths."""
    if group == "common" and other == "none":
        return ""
    pair = [accuracies(result, config, label, arm, measure=measure, group=group) for arm in ("let", other)]
    values = [each.mean(axis=1) if what == "mean" else each.std(axis=1) for each in pair]
    estimate: Estimate = t_interval(values[0] - values[1])
    return str(estimate)


def _by_identities(result: Mapping, config: DepthConfig, label: str) -> list[str]:
    """Return a table of the fair paths' mean by number of identities, and by whether one changes channels."""
    lines = [
        "| fair paths | no identity | one | two or more | one in a layer that changes channels |",
        "|---|---|---|---|---|",
    ]
    changes = changes_channels(config.conditions[label].space("let"))
    for arm in (arm for arm in config.arms if ARMS[arm][0] != "none"):
        held = measured_paths(config.conditions[label], arm)["fair"] == config.conditions[label].identity
        values = accuracies(result, config, label, arm, measure="training", group="fair").mean(axis=0)
        counts = held.sum(axis=1)
        groups = [counts == 0, counts == 1, counts >= 2, held[:, changes].any(axis=1)]
        cells = [f"{values[group].mean():.3f} ({group.sum()})" if group.any() else "" for group in groups]
        lines.append(f"| {LABELS[arm]} | {' | '.join(cells)} |")
    return lines
