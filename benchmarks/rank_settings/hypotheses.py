"""Answers to the hypotheses of plan.md, from the content of result.json."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.intervals import Estimate, bootstrap, verdict
from benchmarks.kendall import kendall_tau
from benchmarks.rank_settings.rank_config import BASE, RankConfig, Reference

GOAL = 0.5  # the tau of H1
NO_ORDER = "no order"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What a hypothesis comes to by a reference; `difference` is None where a ranking has no order."""

    number: str
    claim: str
    difference: Estimate | None
    said: str


def one_shot(result: Mapping, label: str, draw: str, *, bn: str = "recalibrated") -> np.ndarray:
    """Return the accuracies of a draw's models with a supernet's weights, (models,)."""
    return np.array(result["rows"][f"supernet/{label}"]["one_shot"][draw][bn])


def trainings(result: Mapping, reference: Reference) -> np.ndarray:
    """Return the test accuracies of a reference's models, (models, repeats)."""
    accuracies = "test_measured" if reference.measured else "test"
    return np.stack([row[accuracies] for row in _alone_rows(result, reference)], axis=1)


def alone(result: Mapping, reference: Reference) -> np.ndarray:
    """Return the accuracy of each model of a reference, the mean of its trainings: (models,)."""
    return trainings(result, reference).mean(axis=1)


def madds(result: Mapping, reference: Reference) -> np.ndarray:
    """Return the multiply-adds of a reference's models, (models,)."""
    return np.array(_alone_rows(result, reference)[0]["madds"])


def _alone_rows(result: Mapping, reference: Reference) -> list[Mapping]:
    return [row for name, row in result["rows"].items() if name.startswith(f"{reference.rows}/")]


def seeds_of_base(config: RankConfig) -> list[str]:
    """Return the labels of the supernets that differ from the base in their seed only, the base first."""
    base = config.supernets[BASE]
    same = [label for label, own in config.supernets.items() if dataclasses.replace(own, seed=base.seed) == base]
    return [BASE, *(label for label in same if label != BASE)]


def chance(result: Mapping, config: RankConfig, reference: Reference) -> float | None:
    """Return the largest difference of tau between two seeds of the base; None without two that have an order."""
    actual = alone(result, reference)
    taus = [kendall_tau(one_shot(result, label, reference.draw), actual) for label in seeds_of_base(config)]
    return max((abs(a - b) for a, b in itertools.combinations(taus, 2) if np.isfinite(a - b)), default=None)


def answers(result: Mapping, config: RankConfig, reference: Reference) -> Iterator[Answer]:
    """Yield the answers by a reference, for the supernets that the config has."""
    actual, seeds, draw = alone(result, reference), seeds_of_base(config), reference.draw
    base = [one_shot(result, label, draw) for label in seeds]
    moving = [one_shot(result, label, draw, bn="moving") for label in seeds]
    yield _answer("H1", f"{BASE}: tau is above {GOAL}", tau_less(base, actual, goal=GOAL))
    for number, better, worse in (("H2", "long", BASE), ("H2", BASE, "short"), ("H4", BASE, "plain")):
        if {better, worse} <= config.supernets.keys():
            first, second = ([one_shot(result, label, draw)] for label in (better, worse))
            answer = _answer(number, f"{better} ranks better than {worse}", tau_less(first, actual, second))
            yield _beside_chance(answer, chance(result, config, reference))
    yield _answer("H3", "recalibrated statistics rank better than moving ones", tau_less(base, actual, moving))
    by_madds = tau_less(base, actual, [madds(result, reference)])
    yield _answer("H5", f"{BASE} ranks better than multiply-adds alone", by_madds)


def beside_one_training(result: Mapping, config: RankConfig, reference: Reference) -> tuple[Estimate, Estimate] | None:
    """Return the tau of the base with single trainings, and how much more that is than the ceiling.

    The other taus are with the mean of a model's trainings, which is less noisy than the single ones that the ceiling
    compares.

    Returns:
        Means over the base's seeds and the trainings, bootstrapped over the models; None if all values of a ranking are
        equal.
    """
    base = np.stack([one_shot(result, label, reference.draw) for label in seeds_of_base(config)], axis=1)
    columns, seeds = np.concatenate([base, trainings(result, reference)], axis=1), base.shape[1]
    if (columns == columns[0]).all(axis=0).any():
        return None

    def tau(rows: np.ndarray) -> float:
        return float(np.mean([_mean_tau(rows[:, :seeds], training) for training in rows[:, seeds:].T]))

    def less_ceiling(rows: np.ndarray) -> float:
        pairs = itertools.combinations(rows[:, seeds:].T, 2)
        return tau(rows) - float(np.mean([kendall_tau(*pair) for pair in pairs]))

    return bootstrap(tau, columns), bootstrap(less_ceiling, columns)


def tau_less(
    first: list[np.ndarray], actual: np.ndarray, second: list[np.ndarray] | None = None, *, goal: float = 0.0
) -> Estimate | None:
    """Return the mean tau of rankings less that of others, bootstrapped over the models.

    Args:
        first, second: rankings, (n,) each; `second` may be None.
        actual: what they rank, (n,).
        goal: a number that is subtracted too.

    Returns:
        None if all values of a ranking are equal, which has no tau.
    """
    columns = np.stack([actual, *first, *(second or [])], axis=1)
    if (columns == columns[0]).all(axis=0).any():
        return None
    split = 1 + len(first)

    def difference(rows: np.ndarray) -> float:
        values = _mean_tau(rows[:, 1:split], rows[:, 0]) - goal
        return values - _mean_tau(rows[:, split:], rows[:, 0]) if second else values

    return bootstrap(difference, columns)


def _mean_tau(rankings: np.ndarray, actual: np.ndarray) -> float:
    return float(np.mean([kendall_tau(ranking, actual) for ranking in rankings.T]))


def _answer(number: str, claim: str, difference: Estimate | None) -> Answer:
    said = NO_ORDER if difference is None else verdict(difference)
    return Answer(number=number, claim=claim, difference=difference, said=said)


def _beside_chance(answer: Answer, chance: float | None) -> Answer:
    """Return the answer, undecided unless the difference exceeds that between seeds."""
    if answer.difference is None or (chance is not None and abs(answer.difference.value) > chance):
        return answer
    why = "one seed" if chance is None else "seeds differ as much"
    return dataclasses.replace(answer, said=f"undecided: {why}")
