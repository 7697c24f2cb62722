"""The result of the experiment: its JSON, chart and page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import add_legend, draw_histogram, new_chart, write_chart
from benchmarks.let_at_depth.accuracies import STATISTICS, accuracies, difference, identities
from benchmarks.let_at_depth.depth_config import ARMS, LABELS, DepthConfig
from benchmarks.let_at_depth.effects_page import draw_effects, effects_section
from benchmarks.let_at_depth.hypotheses_page import hypotheses_section
from benchmarks.machine import provenance
from benchmarks.result_files import intervals_in_words, remarks, write_result
from benchmarks.rows import made_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEASURES = {
    ("training", "fair"): "paths of fair draws",
    ("training", "common"): "common paths with identities",
    ("training", "without"): "common paths without identity",
    ("held_out", "fair"): "paths of fair draws, held-out images",
    ("held_out", "common"): "common paths with identities, held-out images",
    ("moving", "fair"): "paths of fair draws, moving statistics",
    ("moving", "common"): "common paths with identities, moving statistics",
}
_BINS = 20


def write_depth(output: Path, config: DepthConfig, results: Mapping[str, Mapping], *, command: str) -> str:
    """Write the result as .json, .svg, .png and .md, and a chart of identities' effects by condition; return the page.

    Args:
        output: path of the files without their ending.
        results: what `run_rows` returned for all rows.
    """
    result = provenance(command) | {"config": dataclasses.asdict(config), "rows": dict(results)}
    for label in config.effects:
        write_chart(f"{output}_{label}", draw_effects(result, config, label))
    page = make_depth_page(result, config, picture=f"{output.name}.svg")
    return write_result(output, result, page, chart=draw_depth(result, config), indent=None)


def draw_depth(result: Mapping, config: DepthConfig) -> Figure:
    """Draw histograms of the fair paths' training accuracies, a panel for each condition."""
    figure, axes = new_chart(
        "Training accuracy of a supernet's paths", [(label, "accuracy", "share") for label in config.conditions]
    )
    for label, panel in zip(config.conditions, axes, strict=True):
        values = {arm: accuracies(result, config, label, arm).ravel() for arm in config.arms[label]}
        every = np.concatenate(list(values.values()))
        edges = np.linspace(every.min(), every.max(), _BINS + 1)
        for arm, value in values.items():
            shares = np.histogram(value, edges)[0] / len(value)
            draw_histogram(panel, edges, shares, label=LABELS[arm], series=tuple(ARMS).index(arm))
    add_legend(figure)
    return figure


def make_depth_page(result: Mapping, config: DepthConfig, *, picture: str) -> str:
    """Return the page of the result."""
    sections = hypotheses_section(result, config)
    sections += "\n".join(_section(result, config, label) for label in config.conditions)
    name = picture.removesuffix(".svg")
    for label in config.effects:
        sections += f"\n{effects_section(result, config, label)}\n![{label}: what identities do]({name}_{label}.svg)"
    count = len(config.conditions)
    conditions = f"{count} condition{'s' * (count > 1)}"
    seeds = f"{'Seed' if len(config.seeds) == 1 else 'Seeds'} {', '.join(map(str, config.seeds))}"
    return f"""# LET at depth: garment pairs, {conditions}

    python -m benchmarks.garment_pairs
    {result["command"]}

{made_in_words(result)}

{seeds}; chance is 0.010. [The plan](../../benchmarks/let_at_depth/plan.md) says what is compared, and what would count
as shown.

![Training accuracy of the paths]({picture})
{remarks(result)}{sections}

{intervals_in_words(len(config.seeds))}
"""


def _section(result: Mapping, config: DepthConfig, label: str) -> str:
    condition = config.conditions[label]
    settings = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(condition).items()).capitalize()
    lines = [
        f"\n## {label}\n",
        f"{settings}.\n",
        "| arm | mean | spread | worst path | held-out mean | mean with moving statistics | mean halfway |",
        "|---|---|---|---|---|---|---|",
    ]
    arms = config.arms[label]
    for arm in arms:
        fair = accuracies(result, config, label, arm)
        more = [accuracies(result, config, label, arm, measure=measure).mean() for measure in ("held_out", "moving")]
        halves = [result["rows"][f"{label}/{arm}/{seed}"]["halfway"]["training"]["fair"] for seed in config.seeds]
        cells = [fair.mean(), fair.std(axis=1).mean(), fair.min(axis=1).mean(), *more, np.mean(halves)]
        lines.append(f"| {LABELS[arm]} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    others = [arm for arm in arms if arm != "let"]
    if "let" in arms and others:
        lines += [
            f"\n| LET, starts as identity, less | {' | '.join(LABELS[arm] for arm in others)} |",
            f"|---|{'---|' * len(others)}",
        ]
        for (measure, group), words in _MEASURES.items():
            for what in STATISTICS:
                which = {"what": what, "measure": measure, "group": group}
                found = [difference(result, config, label, ("let", arm), **which) for arm in others]
                cells = ["" if estimate is None else str(estimate) for estimate in found]
                lines.append(f"| {what}: {words} | {' | '.join(cells)} |")
    lines += ["", *_by_identities(result, config, label)]
    return "\n".join(lines)


def _by_identities(result: Mapping, config: DepthConfig, label: str) -> list[str]:
    """Return a table of the fair paths' mean by number of identities, and by whether one changes channels."""
    lines = [
        "| fair paths, by identities | 0 or 1 | 2 or 3 | 4 or 5 | 6 or more | one in a layer that changes channels |",
        "|---|---|---|---|---|---|",
    ]
    for arm in (arm for arm in config.arms[label] if ARMS[arm][0] != "none"):
        values, held = accuracies(result, config, label, arm).mean(axis=0), identities(config, label, arm)
        pairs = np.minimum(held["count"] // 2, 3)
        groups = [*(pairs == pair for pair in range(4)), held["reshaping"]]
        cells = [f"{values[group].mean():.3f} ({group.sum()})" if group.any() else "" for group in groups]
        lines.append(f"| {LABELS[arm]} | {' | '.join(cells)} |")
    return lines
