"""The comparison of fair steps with PyTorch's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.step_peers import rounds
from benchmarks.step_peers.page import make_page

FOLDER = Path(rounds.__file__).parent


def timing(way, threads, seconds):
    common = {"way": way, "threads": threads, "step_s": seconds, "first_step_s": 10 * seconds}
    own = {"peak_rss_gb": 1.5, "madds_g": 8.0, "moved_gb": 3.0, "floor_s": 0.5, "sgemm_gmadds_s": 40, "copy_gb_s": 9.0}
    return common | (own if way == "scarlet-tf" else {"peak_gb": 2.25})


def test_page_has_the_medians_of_ratios():
    seconds = {"scarlet-tf": (1.0, 2.0, 1.0), "PyTorch eager": (2.0, 4.0, 4.0), "PyTorch compiled": (1.25, 2.0, 1.0)}
    result = {
        **{"command": "python -m benchmarks.step_peers", "date": "2026-11-29", "machine": {"cores": 2}},
        "network": {"width": 0.5, "size": 32, "batch": 32, "steps": 5},
        "rounds": [timing(way, 1, seconds[way][number]) for number in range(3) for way in rounds.WAYS],
    }
    page = make_page(result)
    assert "| scarlet-tf | 1.00 | 1.00 | 10 | 20 | 1.5 |" in page
    assert "| PyTorch eager | 4.00 | 0.50 | 40 | 40 | 2.2 |" in page
    assert "| PyTorch compiled | 1.25 | 1.00 | 12 | 20 | 2.2 |" in page
    assert "1 thread\n" in page and "2 threads" not in page and "50% of the step" in page
    assert "Medians of 3 processes" in page


def test_a_python_without_torch_is_refused(tmp_path):
    empty = tmp_path / "python"
    empty.write_text("#!/bin/sh\nexit 1\n")
    empty.chmod(0o755)
    for python in (empty, tmp_path / "none"):
        with pytest.raises(ValueError, match=f"--torch_python={python} cannot import torch and numpy"):
            rounds.check_torch(str(python))


def test_more_threads_than_cores_are_refused():
    with pytest.raises(ValueError, match="--threads=4096 needs as many cores"):
        rounds.time_rounds("python", ways=rounds.WAYS, threads=[1, 4096], rounds=1, network={})


@pytest.mark.slow
def test_the_peer_is_the_same_network():
    pytest.importorskip("torch")
    flags = ["--device=cpu", "--width=0.5", "--size=32", "--batch=2", "--steps=1", "--warm_up=1", "--threads=1"]
    command = [sys.executable, FOLDER / "torch_step.py", *flags]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert result["params_m"] == 11.919 and 0 < result["step_s"] < result["first_step_s"]
