"""Kendall's tau-b, quick enough for thousands of resamples."""

from __future__ import annotations

import numpy as np


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float:
    """Return tau-b of two rankings of the same n things, (n,) each; NaN if all values of one are equal.

    The same as scipy.stats.kendalltau, which also computes a p-value and takes 30 times as long for 24 things.
    """
    signs = [np.sign(values[:, None] - values) for values in (np.asarray(first), np.asarray(second))]
    untied = np.prod([np.square(sign).sum() for sign in signs])
    return float((signs[0] * signs[1]).sum() / np.sqrt(untied)) if untied else float("nan")
