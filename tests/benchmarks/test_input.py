"""The benchmark of the input pipeline."""

import json

import pytest

from benchmarks.input.input_page import images_needed, make_page
from benchmarks.input.late_steps import time_late_steps
from benchmarks.input.rates import measure_rates
from benchmarks.machine import provenance

pytestmark = pytest.mark.slow


def test_what_an_accelerator_needs():
    """At a fifth of 100 T operations a second, and 6 G operations an image."""
    assert images_needed(100, 1e9) == pytest.approx(20e12 / 6e9)


def test_rates_and_the_page(tmp_path):
    rates = measure_rates(tmp_path / "images", images=128, rounds=2)
    assert len(rates["images_per_second"]) == 4 and 20_000 < rates["file_bytes"] < 200_000
    assert all(len(found) == 2 and min(found) > 1 for found in rates["images_per_second"].values())
    late = time_late_steps(tmp_path / "records", records=1024, step=10**6)
    assert 0 < late["seconds"] < 60
    result = provenance("python -m benchmarks.input") | {"rates": rates, "late": late}
    page = make_page(json.loads(json.dumps(result)))
    assert "Step 1,000,000 in batches of 256 of 1,024 tiny records" in page and "| H100 SXM |" in page
