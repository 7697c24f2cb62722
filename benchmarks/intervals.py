"""Confidence intervals from few samples: Student's t for means, percentile bootstrap for other statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import stdtrit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic and its confidence interval at `level`; low and high are None for a single seed."""

    value: float
    low: float | None
    high: float | None
    level: float

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.value:.3f} (one seed)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def verdict(difference: Estimate, *, margin: float = 0.0) -> str:
    """Return whether an interval shows that a difference is positive: "shown", "refuted" or "undecided".

    Args:
        margin: a difference that is this near to 0 in either direction counts as none.

    Returns:
        "shown" for an interval above 0, "refuted" for one below 0 or within `margin` on both sides of 0, else
        "undecided", which is also said of a single seed.
    """
    if difference.low is None:
        return "undecided"
    if difference.low > 0:
        return "shown"
    return "refuted" if difference.high < 0 or _within(difference, margin) else "undecided"


def verdict_equal(difference: Estimate, *, margin: float) -> str:
    """Return whether an interval shows that there is no difference: "shown", "refuted" or "undecided".

    Args:
        margin: as in `verdict`.

    Returns:
        "shown" for an interval within `margin` on both sides of 0, "refuted" for another one that does not contain 0,
        else "undecided", which is also said of a single seed.
    """
    if difference.low is None:
        return "undecided"
    if _within(difference, margin):
        return "shown"
    return "undecided" if difference.low <= 0 <= difference.high else "refuted"


def _within(difference: Estimate, margin: float) -> bool:
    return -margin < difference.low and difference.high < margin


def estimates_to_dict(estimates: Mapping[str, Estimate]) -> dict[str, dict]:
    """Convert estimates, by name, to JSON values."""
    return {name: dataclasses.asdict(estimate) for name, estimate in estimates.items()}


def t_interval(samples: np.ndarray, *, level: float = 0.95) -> Estimate:
    """Return the mean of independent samples, one per seed, with its Student's t interval.

    A percentile bootstrap of three samples is nearly their range, which contains a normal mean in 75 % of cases.

    Args:
        samples: (n,) numbers.
        level: confidence level, in (0, 1).

    Raises:
        ValueError: for no samples, another shape or another level.

    Example:
        >>> str(t_interval([0.71, 0.72, 0.73]))
        '0.720 [0.695, 0.745]'
    """
    samples = np.asarray(samples, np.float64)
    if samples.ndim != 1 or not len(samples) or not 0 < level < 1:
        raise ValueError(
            f"a t interval needs an array of samples and a level in (0, 1), got shape {samples.shape}, {level}"
        )
    mean, n = float(samples.mean()), len(samples)
    if n == 1:
        return Estimate(value=mean, low=None, high=None, level=level)
    margin = float(stdtrit(n - 1, (1 + level) / 2) * samples.std(ddof=1) / np.sqrt(n))
    return Estimate(value=mean, low=mean - margin, high=mean + margin, level=level)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    samples: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return a statistic of the samples, with its percentile interval over resamples with replacement.

    Resamples whose statistic is NaN, such as a correlation of one point repeated, are ignored.

    Args:
        statistic: (n, ...) array -> number.
        samples: (n, ...); each row is an independent sample.
        level: confidence level, in (0, 1).

    Raises:
        ValueError: for no samples, no resamples or another level.
    """
    samples = np.asarray(samples)
    if not len(samples) or not 0 < level < 1 or resamples < 1:
        raise ValueError(
            f"bootstrap needs samples, a level in (0, 1) and resamples >= 1, got {len(samples)}, {level}, {resamples}"
        )
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(samples), (resamples, len(samples)))
    values = np.array([statistic(samples[row]) for row in rows], np.float64)
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=float(statistic(samples)), low=float(low), high=float(high), level=level)
