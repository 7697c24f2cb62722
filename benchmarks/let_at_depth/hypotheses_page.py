"""The table that answers the hypotheses of plan.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.intervals import Estimate, t_interval, verdict, verdict_equal
from benchmarks.let_at_depth.accuracies import difference, differences
from benchmarks.let_at_depth.depth_config import LABELS, DepthConfig

BASE, SHALLOW, SLOW = "base", "six_layers", "slow"  # labels that the hypotheses are about
MARGIN = 0.05  # a difference in accuracy that counts as none


def hypotheses_section(result: Mapping, config: DepthConfig) -> str:
    """Return the section of the page; "" for a config that lacks what the hypotheses are about."""
    rows = [
        f"| {number} | {claim} | {estimate} | {said} |" for number, claim, estimate, said in answers(result, config)
    ]
    if not rows:
        return ""
    table = "\n".join(rows)
    return f"""
## The hypotheses

Means and spreads of the fair paths' training accuracies, if no other paths are named. A difference of means within \
{MARGIN} on both
sides of 0 counts as none.

| | hypothesis | difference | it is |
|---|---|---|---|
{table}
"""


def answers(result: Mapping, config: DepthConfig) -> Iterator[tuple[str, str, Estimate, str]]:
    """Yield, for what the config has of the plan: number, claim, difference and verdict."""
    for label in config.conditions:
        for letters, arm in (("ab", "let"), ("cd", "let_normal")):
            if _has(config, label, arm, "plain"):
                yield from _paper_claim(result, config, label, arm, letters=letters)
    if _has(config, BASE, "plain", "plain_same"):
        estimate = difference(result, config, BASE, ("plain_same", "plain"), group="common")
        claim = "common paths: identities of the same shape only have a higher mean than in all layers"
        yield "H2", claim, *_positive(estimate)
    if _has(config, BASE, "let", "plain_same"):
        estimate = difference(result, config, BASE, ("let", "plain_same"), group="common")
        yield "H2", "common paths: LET and identities of the same shape only have the same mean", *_zero(estimate)
    yield from _between_conditions(result, config, "H3", "at 19 layers than at 6", SHALLOW)
    if _has(config, BASE, "let", "plain"):
        estimate = difference(result, config, BASE, ("let", "plain"), group="reshaping")
        claim = "paths with an identity in a layer that changes channels have a higher mean with LET"
        yield "H4", claim, *_positive(estimate)
        estimate = difference(result, config, BASE, ("let", "plain"), group="keeping")
        yield "H4", "paths with identities in other layers only have the same mean with LET", *_zero(estimate)
    for arm in (arm for arm in config.arms.get(BASE, ()) if arm != "let" and "let" in config.arms[BASE]):
        estimate = difference(result, config, BASE, ("let", arm), group="without")
        yield "H4", f"paths without an identity have the same mean with LET as with: {LABELS[arm]}", *_zero(estimate)
    yield from _between_conditions(result, config, "H5", "with learning rate 0.2 than with 0.045", SLOW)
    if _has(config, BASE, "let", "let_same", "plain_same"):
        estimate = difference(result, config, BASE, ("let_same", "let"), group="common")
        yield (
            "H6a",
            "common paths: LETs of the same shape only have a higher mean than in all layers",
            *_positive(estimate),
        )
        estimate = difference(result, config, BASE, ("let_same", "plain_same"), group="common")
        yield (
            "H6b",
            "common paths, identities of the same shape only: LETs and plain ones have the same mean",
            *_zero(estimate),
        )


def _has(config: DepthConfig, label: str, *arms: str) -> bool:
    return set(arms) <= set(config.arms.get(label, ()))


def _paper_claim(result: Mapping, config: DepthConfig, label: str, arm: str, *, letters: str) -> Iterator:
    mean = difference(result, config, label, (arm, "plain"))
    yield (
        f"H1{letters[0]}",
        f"{label}: the mean of {LABELS[arm]} is higher than that of plain identity",
        *_positive(mean),
    )
    spread = difference(result, config, label, ("plain", arm), what="spread")
    yield (
        f"H1{letters[1]}",
        f"{label}: the spread of plain identity is larger than that of {LABELS[arm]}",
        spread,
        verdict(spread),
    )


def _between_conditions(result: Mapping, config: DepthConfig, number: str, words: str, label: str) -> Iterator:
    if _has(config, BASE, "let", "plain") and _has(config, label, "let", "plain"):
        effects = [differences(result, config, each, ("let", "plain")) for each in (BASE, label)]
        estimate = t_interval(np.subtract(*effects))
        yield number, f"LET less plain identity is larger {words}", *_positive(estimate)


def _positive(estimate: Estimate) -> tuple[Estimate, str]:
    return estimate, verdict(estimate, margin=MARGIN)


def _zero(estimate: Estimate) -> tuple[Estimate, str]:
    return estimate, verdict_equal(estimate, margin=MARGIN)
