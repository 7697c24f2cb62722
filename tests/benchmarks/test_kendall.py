"""Kendall's tau, against scipy's."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks.kendall import kendall_tau


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_tau_is_scipys(levels):
    """Also with ties, which few levels make."""
    rng = np.random.default_rng(0)
    for n in (2, 3, 24, 100):
        first, second = rng.integers(0, levels, (2, n)).astype(float)
        assert kendall_tau(first, second) == pytest.approx(kendalltau(first, second).statistic, abs=1e-12, nan_ok=True)


def test_equal_values_have_no_order():
    assert np.isnan(kendall_tau(np.ones(5), np.arange(5)))
