"""The chart and the section of the page on what identities do; see `identity_effects.measure_effects`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.charts import add_legend, draw_band, new_chart
from benchmarks.intervals import Estimate, t_interval
from benchmarks.let_at_depth.depth_config import LABELS, PARTS, DepthConfig, changes_channels, keeps_shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_effects(result: Mapping, config: DepthConfig, label: str) -> Figure:
    """Draw, for the arms of a condition, accuracy and gradients by number of identities, and cosines by layer."""
    figure, (accuracy, gradient, similarity) = new_chart(
        f"{label}: what identities do",
        [
            ("Accuracy of paths", "identities in the path", "training accuracy"),
            ("Gradient of the stem, with and without identities", "identities in the path", "angle in degrees"),
            ("Features: identity and blocks", "layer", "cosine"),
        ],
    )
    for arm in config.arms[label]:
        of_seeds = _of(result, config, label, arm)
        counts = _counts(of_seeds[0])
        if not counts:
            continue
        accuracies = [[np.mean(r["accuracies"][name]) for name in ("original", *_named(counts))] for r in of_seeds]
        _draw_mean(accuracy, [0, *counts], accuracies, label=LABELS[arm])
        angles = [[r["gradients"][name]["stem"]["angle"] for name in _named(counts)] for r in of_seeds]
        _draw_mean(gradient, counts, angles, label=LABELS[arm])
        identity = np.array([r["features"]["cosine"]["identity"] for r in of_seeds], np.float64)
        layers = np.flatnonzero(np.isfinite(identity[0]))
        _draw_mean(similarity, layers, identity[:, layers], label=LABELS[arm])
    similarity.xaxis.get_major_locator().set_params(integer=True)
    add_legend(figure)
    return figure


def effects_section(result: Mapping, config: DepthConfig, label: str) -> str:
    """Return the section of the page for a condition."""
    lines = [
        f"\n## What identities do in {label}\n",
        "Eight random paths without an identity, and copies in which identities take the place of some blocks. For",
        "comparison, copies in which other blocks take the place of the same blocks. Means over paths and seeds.",
        *_accuracy_table(result, config, label),
        *_gradient_table(result, config, label),
        *_turn_table(result, config, label),
        *_feature_table(result, config, label),
    ]
    return "\n".join(lines) + "\n"


def _accuracy_table(result: Mapping, config: DepthConfig, label: str) -> Iterator[str]:
    names = _all_groups(result, config, label)
    yield f"\n| training accuracy | unchanged | {' | '.join(map(_words, names))} |"
    yield f"|---|---|{'---|' * len(names)}"
    for arm in config.arms[label]:
        rows = [r["accuracies"] for r in _of(result, config, label, arm)]
        cells = [f"{np.mean([r[name] for r in rows]):.3f}" if name in rows[0] else "" for name in ("original", *names)]
        yield f"| {LABELS[arm]} | {' | '.join(cells)} |"


def _gradient_table(result: Mapping, config: DepthConfig, label: str) -> Iterator[str]:
    names = _all_groups(result, config, label)
    yield "\nThe angle between the gradients that shared weights get from the unchanged path and from the changed one,"
    yield "in degrees, and the ratio of the norms, changed over unchanged."
    yield f"\n| weights | arm | {' | '.join(map(_words, names))} |"
    yield f"|---|---|{'---|' * len(names)}"
    for part in PARTS:
        for arm in config.arms[label]:
            rows = [r["gradients"] for r in _of(result, config, label, arm)]
            cells = [_angle_and_norm([r[name][part] for r in rows]) if name in rows[0] else "" for name in names]
            yield f"| {part} | {LABELS[arm]} | {' | '.join(cells)} |"


def _angle_and_norm(values: list[Mapping[str, float]]) -> str:
    return f"{np.mean([v['angle'] for v in values]):.0f}, {np.mean([v['norm'] for v in values]):.2f}"


def _turn_table(result: Mapping, config: DepthConfig, label: str) -> Iterator[str]:
    """Yield, for the arms with identities, how far the most of them turn the stem's gradient."""
    effects = {arm: _of(result, config, label, arm) for arm in config.arms[label]}
    arms = [arm for arm in effects if _counts(effects[arm][0])]
    if not arms:
        return
    most = max(_counts(effects[arms[0]][0]))
    by_identities, by_blocks = (
        {arm: np.array([r["gradients"][f"{kind} {most}"]["stem"]["angle"] for r in effects[arm]]) for arm in arms}
        for kind in ("identity", "exchanged")
    )
    blocks = _words(f"exchanged {most}")
    yield f"\nThe stem's angle with {_words(f'identity {most}')}, in degrees, with intervals; by how much it exceeds"
    yield f"the arm's angle with {blocks}, and the first arm's with identities."
    yield f"\n| arm | angle | less {blocks} | less {LABELS[arms[0]]} |"
    yield "|---|---|---|---|"
    for arm in arms:
        turned = by_identities[arm]
        estimates = [turned, turned - by_blocks[arm], *([turned - by_identities[arms[0]]] if arm != arms[0] else [])]
        cells = [*map(_degrees, map(t_interval, estimates)), ""][:3]
        yield f"| {LABELS[arm]} | {' | '.join(cells)} |"


def _degrees(angle: Estimate) -> str:
    return f"{angle.value:.0f} " + ("(one seed)" if angle.low is None else f"[{angle.low:.0f}, {angle.high:.0f}]")


def _feature_table(result: Mapping, config: DepthConfig, label: str) -> Iterator[str]:
    space = config.conditions[label].space("let")
    keeps, changes = keeps_shape(space), changes_channels(space)
    yield "\nSimilarity of the outputs of a layer's choices on the same input: of two blocks, and of the identity and a"
    yield "block. In layers that keep the shape every block has a shortcut, so that all outputs contain the input."
    yield "\n| | layers that keep the shape: two blocks | identity and block | layers that change channels: two blocks \
| identity and block |"
    yield "|---|---|---|---|---|"
    for measure, words in (("cosine", "cosine"), ("cka", "linear CKA")):
        for arm in config.arms[label]:
            rows = [r["features"][measure] for r in _of(result, config, label, arm)]
            cells = []
            for layers in (keeps, changes):
                for kind in ("blocks", "identity"):
                    value = np.array([r[kind] for r in rows], np.float64)[:, layers].mean()
                    cells.append("" if np.isnan(value) else f"{value:.2f}")
            yield f"| {words}, {LABELS[arm]} | {' | '.join(cells)} |"


def _of(result: Mapping, config: DepthConfig, label: str, arm: str) -> list[Mapping]:
    return [result["rows"][f"{label}/{arm}/{seed}"]["effects"] for seed in config.seeds]


def _counts(effects: Mapping) -> list[int]:
    return [int(name.split()[1]) for name in effects["accuracies"] if name.startswith("identity")]


def _named(counts: list[int]) -> list[str]:
    return [f"identity {count}" for count in counts]


def _all_groups(result: Mapping, config: DepthConfig, label: str) -> list[str]:
    """Return the names of the groups of changed paths that any arm has."""
    found = {name: None for arm in config.arms[label] for name in _of(result, config, label, arm)[0]["gradients"]}
    return sorted(found, key=lambda name: (name.startswith("exchanged"), name == "reshaping"))


def _words(name: str) -> str:
    if name == "reshaping":
        return "an identity that changes channels"
    kind, count = name.split()
    noun = {"identity": ("identity", "identities"), "exchanged": ("other block", "other blocks")}[kind]
    return f"{count} {noun[count != '1']}"


def _draw_mean(axes, x, of_seeds, *, label: str) -> None:
    estimates = [t_interval(column) for column in np.array(of_seeds, np.float64).T]
    values = [e.value for e in estimates]
    low = [e.value if e.low is None else e.low for e in estimates]
    high = [e.value if e.high is None else e.high for e in estimates]
    draw_band(axes, x, values, low=low, high=high, label=label)
