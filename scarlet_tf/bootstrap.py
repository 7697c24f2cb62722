"""Percentile bootstrap: how far a statistic of few samples may be from its value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic and the interval that holds the share `level` of its resampled values."""

    value: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    samples: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The statistic of the samples, and its percentile interval over resamples of their rows with replacement.

    Resamples whose statistic is not a number, such as a correlation of one point repeated, are left out.

    Args:
        statistic: (n, ...) array -> number.
        samples: (n, ...); a row is one independent sample.
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
