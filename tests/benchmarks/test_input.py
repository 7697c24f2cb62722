"""The benchmark of the input pipeline."""

import json

import pytest

from benchmarks.input.input_page import images_needed, make_page
from benchmarks.input.late_steps import time_late_steps
from benchmarks.input.rates import measure_rates
from benchmarks.machine import provenance


def test_what_an_accelerator_needs():
    """docs/scale.md says that a V100 takes 0.67 s for 256 images, and that an image takes 26.9 G operations."""
    alone, supernet = images_needed("v100", "mixed_float16")
    assert supernet == pytest.approx(256 / 0.67, rel=0.01)
    assert alone == pytest.approx(supernet * 26.9e9 / (6 * 365.3e6), rel=0.01)


@pytest.mark.slow
def test_rates_and_the_page(tmp_path):
    rates = measure_rates(tmp_path / "images", images=128, rounds=2)
    assert len(rates["images_per_second"]) == 4 and 20_000 < rates["file_bytes"] < 200_000
    assert all(len(found) == 2 and min(found) > 1 for found in rates["images_per_second"].values())
    late = time_late_steps(tmp_path / "records", records=1024, step=10**6)
    assert 0 < late["seconds"] < 60
    result = provenance("python -m benchmarks.input") | {"rates": rates, "late": late}
    page = make_page(json.loads(json.dumps(result)))
    assert "Step 1,000,000 in batches of 256 of 1,024 tiny records" in page and "| h100 | mixed_bfloat16 |" in page
