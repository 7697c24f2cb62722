"""Instructions of the shipped network and SCARLET-A on an emulated phone, against recorded ones."""

import json
from importlib import metadata

import pytest
from arm64_networks import CPU, RECORD, RECORD_AGAIN, export_networks

from scarlet_tf.latency import count_instructions

TOLERANCE = 0.01


@pytest.mark.slow
def test_counts_are_as_recorded(emulator, tmp_path):
    version = metadata.version("ai-edge-litert")
    recorded = json.loads(RECORD.read_text())
    assert version in recorded, f"no counts are recorded for LiteRT {version}: run {RECORD_AGAIN}"
    expected = recorded[version]["counts"]
    files = export_networks(tmp_path)
    found = dict(zip(files, count_instructions([*files.values()], cpu=CPU), strict=True))
    ratios = {name: found[name] / expected[name] for name in expected}
    assert found.keys() == expected.keys()
    assert all(abs(ratio - 1) <= TOLERANCE for ratio in ratios.values()), (
        f"instructions / recorded: {ratios}; if the change is meant, run {RECORD_AGAIN}"
    )
