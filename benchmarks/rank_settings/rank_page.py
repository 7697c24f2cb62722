"""The result of the experiment: its JSON, chart and page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kendalltau

from benchmarks.charts import add_legend, draw_points, new_chart
from benchmarks.garment_pairs.drawing import SIDE
from benchmarks.garment_pairs.pairs_space import CLASSES
from benchmarks.intervals import Estimate, bootstrap, verdict
from benchmarks.machine import provenance
from benchmarks.rank.ranking import tau_between, tau_of_trainings
from benchmarks.rank_settings.rank_config import BASE, RECIPE, RankConfig
from benchmarks.result_files import remarks, write_result
from benchmarks.rows import made_in_words
from scarlet_tf.supernet.supernet_config import BN_MODES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RANKS = "recalibrated"  # statistics of the differences
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
    """Draw the models' accuracy on their own by that with the base's weights, a panel for each draw."""
    draws = result["config"]["draws"]
    figure, panels = new_chart(
        "Models by the supernet's weights and on their own",
        [(DRAW_NAMES[draw], "one-shot accuracy, held-out images", "accuracy alone, test images") for draw in draws],
    )
    for draw, panel in zip(draws, panels, strict=True):
        for bn, accuracies in _one_shot(result, BASE, draw).items():
            draw_points(panel, accuracies, _alone(result, draw), label=f"{bn} statistics")
    add_legend(figure)
    return figure


def make_ranks_page(result: Mapping, *, picture: str) -> str:
    """Return the page, from the content of result.json alone."""
    config = RankConfig.from_dict(result["config"])
    sections = "\n".join(_section(result, config, draw) for draw in config.draws)
    base = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(config.supernets[BASE]).items())
    return f"""# Which settings move a supernet's ranking?

    {result["command"]}

{made_in_words(result)}

Space "small" with {config.blocks + 1} choices a layer and {CLASSES} classes at {SIDE} pixels, garment pairs. Each \
model is trained on its own {config.repeats} times,
for {config.epochs:g} epochs, by recipe "{RECIPE}". [The plan](../../benchmarks/rank_settings/plan.md) says what is \
compared.
The base: {base}.

Kendall's tau-b of one-shot accuracy on {config.held_out} held-out images with the mean test accuracy of a model's \
trainings,
and 95 % bootstrap intervals over the models. The ceiling is the tau of two trainings of the same models.

![Accuracy by the supernet's weights and alone]({picture})
{remarks(result)}
Differences of tau, with recalibrated statistics if nothing else is said, bootstrapped over the models. "Shown" means \
above 0.

{_differences(result, config)}
{sections}"""


def _section(result: Mapping, config: RankConfig, draw: str) -> str:
    alone, trainings = _alone(result, draw), np.array(result["rows"][f"alone/{draw}"]["trainings"])
    noise = np.sqrt(trainings.var(axis=1, ddof=1).mean())
    lines = [
        f"\n## {config.models} models, {DRAW_NAMES[draw]}\n",
        f"Accuracy alone: mean {alone.mean():.3f}, standard deviation over the models {alone.std(ddof=1):.4f}, over "
        f"trainings of a model {noise:.4f}.\n",
        f"| | {' | '.join(f'{bn} statistics' for bn in BN_MODES)} | mean one-shot accuracy, recalibrated |",
        "|---|---|---|---|",
        *_rows(result, config, draw),
        f"| multiply-adds alone | {_words(tau_between(_madds(result, draw), alone))} | | |",
        f"| ceiling: two trainings | {_words(tau_of_trainings(trainings))} | | |",
    ]
    return "\n".join(lines) + "\n"


def _rows(result: Mapping, config: RankConfig, draw: str) -> Iterator[str]:
    alone, base = _alone(result, draw), dataclasses.asdict(config.supernets[BASE])
    for label, settings in config.supernets.items():
        changes = [f"{name} {value}" for name, value in dataclasses.asdict(settings).items() if value != base[name]]
        one_shot = _one_shot(result, label, draw)
        taus = [_words(tau_between(one_shot[bn], alone)) for bn in BN_MODES]
        cells = (f"{label}: {', '.join(changes)}" if changes else label, *taus, f"{one_shot[_RANKS].mean():.3f}")
        yield f"| {' | '.join(cells)} |"


def answers(result: Mapping, config: RankConfig) -> Iterator[tuple[str, list[Estimate]]]:
    """Yield the plan's differences of tau: their words, and an estimate for each draw."""
    found = {draw: list(_pairs(result, config, draw)) for draw in config.draws}
    for number, (words, *_) in enumerate(found[config.draws[0]]):
        rankings = {draw: pairs[number][1:] for draw, pairs in found.items()}
        yield words, [tau_difference(*pair, _alone(result, draw)) for draw, pair in rankings.items()]


def _pairs(result: Mapping, config: RankConfig, draw: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the pairs of rankings whose taus are compared."""
    base = _one_shot(result, BASE, draw)
    yield f"{BASE}: recalibrated less moving statistics", base["recalibrated"], base["moving"]
    yield f"{BASE} less multiply-adds alone", base[_RANKS], _madds(result, draw)
    for label in (label for label in config.supernets if label != BASE):
        yield f"{label} less {BASE}", _one_shot(result, label, draw)[_RANKS], base[_RANKS]


def _differences(result: Mapping, config: RankConfig) -> str:
    rows = [
        f"| {words} | {' | '.join(f'{estimate}, {verdict(estimate)}' for estimate in estimates)} |"
        for words, estimates in answers(result, config)
    ]
    head = [f"| tau | {' | '.join(DRAW_NAMES[draw] for draw in config.draws)} |", f"|---|{'---|' * len(config.draws)}"]
    return "\n".join([*head, *rows])


def tau_difference(first: np.ndarray, second: np.ndarray, alone: np.ndarray) -> Estimate:
    """Return the tau of `first` with `alone` less that of `second`, bootstrapped over the models: (n,) each."""
    rows = np.stack([first, second, alone], axis=1)
    return bootstrap(
        lambda r: kendalltau(r[:, 0], r[:, 2]).statistic - kendalltau(r[:, 1], r[:, 2]).statistic,
        rows,
    )


def _words(tau: Mapping | None) -> str:
    return str(Estimate(**tau)) if tau else "no order"


def _one_shot(result: Mapping, label: str, draw: str) -> dict[str, np.ndarray]:
    found = result["rows"][f"supernet/{label}"]["one_shot"][draw]
    return {bn: np.array(found[bn]) for bn in BN_MODES}


def _alone(result: Mapping, draw: str) -> np.ndarray:
    """Return the mean accuracy of the trainings of each model of a draw, (models,)."""
    return np.mean(result["rows"][f"alone/{draw}"]["trainings"], axis=1)


def _madds(result: Mapping, draw: str) -> np.ndarray:
    return np.array(result["rows"][f"alone/{draw}"]["madds"])
