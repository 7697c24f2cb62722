"""Evaluation of proposals until enough satisfy the constraints, cheap ones first (paper: "Ordered Constraints")."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scarlet_tf.choices import check_integer
from scarlet_tf.search.objectives import ACCURACY, CheapQuantity, Constraint, measure
from scarlet_tf.search.operators import Proposals, genome_key

KNOWN = "already evaluated"


class SearchStalledError(ValueError):
    """Error for a search that finds no more models; the message names the constraint or reason that rejects them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Evaluated models with all their quantities, in order of evaluation; arrays have n rows."""

    genomes: np.ndarray  # (n, L) int64
    values: dict[str, np.ndarray]  # (n,) each: accuracy and the cheap quantities
    parents: np.ndarray  # (n, 2) int64 ids, -1 for none
    operators: np.ndarray  # (n,) str
    feasible: np.ndarray  # (n,) bool: satisfies the constraints on accuracy too
    evaluated_at: np.ndarray  # (n,) float64 seconds since the epoch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """Counts of proposals, of rejections by reason, and the seconds spent in the evaluator."""

    proposed: int
    rejected: dict[str, int]
    evaluation_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patience:
    """Limits after which a search gives up: proposals, or evaluations, in a row of which none passes.

    Raises:
        ValueError: unless both are integers >= 1.
    """

    proposals: int = 200_000
    evaluations: int = 1_000

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            check_integer(f"patience: {name}", value, least=1)


def collect(
    wanted: int,
    propose: Callable[[], Proposals],
    *,
    evaluate: Callable[[np.ndarray], np.ndarray],
    cheap: Mapping[str, CheapQuantity],
    constraints: Sequence[Constraint],
    known: set[bytes],
    patience: Patience,
) -> tuple[Evaluated, Effort]:
    """Draw and evaluate proposals until `wanted` new models satisfy every constraint.

    Known genomes and those that violate a cheap constraint are rejected first. The rest are evaluated in batches, each
    as large as the number of models still missing, so at most `wanted` feasible models are evaluated. Models whose
    accuracy violates a constraint are returned too, with `feasible` False.

    Args:
        wanted: number of feasible models.
        propose: returns a batch of proposals of any size >= 1; those of the last batch that are not needed are dropped.
        evaluate: returns accuracies: (n, L) int64 -> (n,) float64.
        cheap: the cheap quantities, by name.
        constraints: in the order in which they are checked.
        known: `genome_key` of every evaluated model; updated in place.
        patience: when to give up.

    Returns:
        The evaluated models, and what they took.

    Raises:
        SearchStalledError: if `patience` runs out.
    """
    draws = _Draws(propose, cheap=cheap, constraints=constraints, known=known, patience=patience.proposals)
    gates = [constraint for constraint in constraints if constraint.name == ACCURACY]
    parts: list[Evaluated] = []
    missing, barren, seconds = wanted, 0, 0.0
    while missing:
        proposals, values = draws.take(missing)
        started = time.perf_counter()
        values[ACCURACY] = evaluate(proposals.genomes)
        seconds += time.perf_counter() - started
        passed = [gate.satisfied(values[ACCURACY]) for gate in gates]
        feasible = np.logical_and.reduce(passed) if gates else np.ones(missing, bool)
        for gate, ok in zip(gates, passed, strict=True):
            draws.rejected[str(gate)] += int((~ok).sum())
        parts.append(
            Evaluated(
                genomes=proposals.genomes,
                values=values,
                parents=proposals.parents,
                operators=proposals.operators,
                feasible=feasible,
                evaluated_at=np.full(missing, time.time()),
            )
        )
        barren = 0 if feasible.any() else barren + missing
        missing -= int(feasible.sum())
        if barren >= patience.evaluations:
            recent = np.concatenate([part.values[ACCURACY] for part in parts])[-barren:]
            worst = min(gates, key=lambda gate: int(gate.satisfied(recent).sum()))
            raise SearchStalledError(
                f"search stalled: none of the last {barren} evaluated models satisfies '{worst}'; "
                f"the closest has accuracy {worst.closest(recent):.4g}"
            )
    effort = Effort(proposed=draws.proposed, rejected=dict(draws.rejected), evaluation_seconds=seconds)
    return _concatenate(parts), effort


class _Draws:
    """A stream of new proposals that satisfy the cheap constraints."""

    def __init__(
        self,
        propose: Callable[[], Proposals],
        *,
        cheap: Mapping[str, CheapQuantity],
        constraints: Sequence[Constraint],
        known: set[bytes],
        patience: int,
    ):
        self._propose, self._cheap, self._known, self._patience = propose, cheap, known, patience
        self._constraints = [constraint for constraint in constraints if constraint.name != ACCURACY]
        self.proposed = 0
        self.rejected: Counter[str] = Counter()

    def take(self, count: int) -> tuple[Proposals, dict[str, np.ndarray]]:
        """Return the next `count` proposals with their cheap quantities; count rejections in `rejected`."""
        parts: list[tuple[Proposals, dict[str, np.ndarray]]] = []
        taken, fruitless, reasons, closest = 0, 0, Counter[str](), {}
        while taken < count:
            proposals = self._propose()
            values = measure(self._cheap, proposals.genomes)
            verdicts = self._verdicts(values, len(proposals.genomes))
            rows = []
            for row, verdict in enumerate(verdicts):
                if taken == count:
                    break
                self.proposed += 1
                key = genome_key(proposals.genomes[row])
                reason = verdict or (KNOWN if key in self._known else "")
                if reason:
                    self.rejected[reason] += 1
                    reasons[reason] += 1
                    fruitless += 1
                    continue
                self._known.add(key)
                rows.append(row)
                taken += 1
                fruitless, reasons = 0, Counter()
            parts.append((Proposals(*(field[rows] for field in proposals)), {k: v[rows] for k, v in values.items()}))
            for constraint in self._constraints:
                nearest = constraint.closest(values[constraint.name])
                closest[str(constraint)] = constraint.closest(
                    np.array([nearest, closest.get(str(constraint), nearest)])
                )
            if fruitless >= self._patience:
                raise SearchStalledError(_stalled(fruitless, reasons, closest))
        genomes, parents, operators = (np.concatenate(field) for field in zip(*(p for p, _ in parts), strict=True))
        merged = {name: np.concatenate([values[name] for _, values in parts]) for name in self._cheap}
        return Proposals(genomes, parents, operators), merged

    def _verdicts(self, values: Mapping[str, np.ndarray], n: int) -> list[str]:
        """Return the first constraint that each of n proposals violates, or "" if there is none."""
        verdicts = np.full(n, "", dtype=object)
        for constraint in reversed(self._constraints):
            verdicts[~constraint.satisfied(values[constraint.name])] = str(constraint)
        return verdicts.tolist()


def _stalled(fruitless: int, reasons: Counter[str], closest: Mapping[str, float]) -> str:
    reason, times = reasons.most_common(1)[0]
    if reason == KNOWN:
        return f"search stalled: {times} of the last {fruitless} proposals were evaluated before: few models are left"
    return (
        f"search stalled: '{reason}' rejects {times} of the last {fruitless} proposals; "
        f"the closest has {closest[reason]:.6g}"
    )


def _concatenate(parts: Sequence[Evaluated]) -> Evaluated:
    return Evaluated(
        genomes=np.concatenate([part.genomes for part in parts]),
        values={name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        parents=np.concatenate([part.parents for part in parts]),
        operators=np.concatenate([part.operators for part in parts]),
        feasible=np.concatenate([part.feasible for part in parts]),
        evaluated_at=np.concatenate([part.evaluated_at for part in parts]),
    )
