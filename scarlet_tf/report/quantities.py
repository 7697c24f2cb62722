"""Names, units and formatting of quantities on the page."""

from __future__ import annotations

import math

import numpy as np

from scarlet_tf.search import Constraint, Summary
from scarlet_tf.search.constrained import KNOWN
from scarlet_tf.search.objectives import ACCURACY

MISSING = "—"

_LABELS = {ACCURACY: "One-shot accuracy", "madds": "MAdds", "params": "Params"}
# Unit of a quantity: "percent" (of 0..1), "millions", "ms", "plain".
_UNITS = {ACCURACY: "percent", "madds": "millions", "params": "millions"}
_UNITS_BY_ENDING = {"_ms": "ms", "instructions": "millions"}  # of quantities that users name


def label(name: str) -> str:
    """Return a heading for a quantity of the search."""
    return _LABELS.get(name, name.replace("_", " "))


def phrase(name: str) -> str:
    """Return `label` as written within a sentence."""
    heading = label(name)
    return heading if heading[:2].isupper() else heading[0].lower() + heading[1:]


def unit(name: str) -> str:
    """Return the unit of a quantity of the search; that of a user's own comes from its name, such as "latency_ms"."""
    by_ending = (known for ending, known in _UNITS_BY_ENDING.items() if name.endswith(ending))
    return _UNITS.get(name) or next(by_ending, "plain")


def format_value(value: float, *, unit: str) -> str:
    """Format a value with its unit.

    0.5123 -> "51.23 %", 365310000 -> "365.3 M", 96300 -> "96.3 k", 1234567 -> "1,234,567 B", 12.3 -> "12.3".
    """
    if unit == "percent":
        return f"{100 * value:.2f} %"
    if unit == "millions":
        if value < 999_500:  # still three digits of thousands after rounding
            return f"{significant(value / 1e3, 3)} k"
        return f"{value / 1e6:.1f} M" if value >= 1e8 else f"{significant(value / 1e6, 3)} M"
    if unit == "bytes":
        return f"{value:,.0f} B"
    if unit == "ms":
        return f"{significant(value, 3)} ms"
    return f"{value:,}" if isinstance(value, int) else significant(value, 4)


def significant(value: float, digits: int) -> str:
    """Round to significant digits, and format without an exponent: 12345.6, 4 -> "12350"."""
    return np.format_float_positional(float(f"{value:.{digits}g}"), trim="-")


def format_constraint(constraint: Constraint) -> str:
    """Format a constraint: madds<500000000 -> "MAdds < 500.0 M"."""
    return f"{phrase(constraint.name)} {constraint.op} {format_value(constraint.bound, unit=unit(constraint.name))}"


def effort_labels(constraints: tuple[Constraint, ...]) -> list[str]:
    """Return the labels of `effort_row`'s counts, in the same order."""
    accuracy, cheap = _split(constraints)
    return [
        "evaluated, feasible",
        *(f"evaluated, breaks {format_constraint(c)}" for c in accuracy),
        *(f"not evaluated, breaks {format_constraint(c)}" for c in cheap),
        "not evaluated, already known",
    ]


def effort_row(summary: Summary, constraints: tuple[Constraint, ...]) -> list[int]:
    """Count what became of the genomes drawn in a generation; the counts sum to `summary.proposed`."""
    accuracy, cheap = _split(constraints)
    rejected = [summary.rejected.get(str(c), 0) for c in (*accuracy, *cheap)]
    return [summary.feasible, *rejected, summary.rejected.get(KNOWN, 0)]


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _split(constraints: tuple[Constraint, ...]) -> tuple[list[Constraint], list[Constraint]]:
    """Split constraints into those on accuracy, which need an evaluation, and cheap ones."""
    accuracy = [c for c in constraints if c.name == ACCURACY]
    return accuracy, [c for c in constraints if c.name != ACCURACY]
