"""Timing on this machine: the summaries' numbers, and what is refused."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from scarlet_tf.latency import TFLiteFileError, host, measure_host, operation_counts, save_json


def test_summaries_of_known_times():
    times = np.stack([np.arange(1.0, 12.0), 3 * np.arange(1.0, 12.0)], axis=1)  # 1..11 ms, and three times that
    first, second = host._summaries(["a", "b"], times, threads=2)
    assert (first.p10_ms, first.median_ms, first.p90_ms, first.ratio) == (2.0, 6.0, 10.0, 1.0)
    assert (second.p10_ms, second.median_ms, second.p90_ms, second.ratio) == (6.0, 18.0, 30.0, 3.0)
    assert (second.path, second.runs, second.threads) == ("b", 11, 2)


def test_ratio_holds_when_the_machine_slows_down():
    drift = np.array([1.0, 1.0, 5.0, 5.0, 5.0])
    times = np.stack([drift, 2 * drift], axis=1)
    assert host._summaries(["a", "b"], times, threads=1)[1].ratio == 2.0


def test_measure(tflite_file, tmp_path):
    latencies = measure_host([tflite_file, tflite_file], runs=20, warmup=2)
    assert [latency.path for latency in latencies] == [str(tflite_file)] * 2
    for latency in latencies:
        assert 0 < latency.p10_ms <= latency.median_ms <= latency.p90_ms < 1000
    assert latencies[0].ratio == 1.0
    save_json(latencies, tmp_path / "latency.json")
    assert json.loads((tmp_path / "latency.json").read_text()) == [dataclasses.asdict(latency) for latency in latencies]
    assert [path.name for path in tmp_path.iterdir()] == ["latency.json"]


def test_operation_counts(tflite_file):
    assert operation_counts(tflite_file) == {"DEPTHWISE_CONV_2D": 1}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_files(tflite_file, tmp_path, share):
    whole = tflite_file.read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(TFLiteFileError, match=r"cut\.tflite: not a model that can be run"):
        measure_host([tmp_path / "cut.tflite"])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"runs": 0}, "runs must be >= 1, got 0"), ({"threads": 0}, "threads"), ({"warmup": -1}, "warmup")],
)
def test_counts_out_of_range(tflite_file, options, message):
    with pytest.raises(ValueError, match=message):
        measure_host([tflite_file], **options)


def test_no_or_missing_files(tmp_path):
    with pytest.raises(ValueError, match=r"no \.tflite files"):
        measure_host([])
    with pytest.raises(FileNotFoundError, match=r"missing\.tflite"):
        measure_host([tmp_path / "missing.tflite"])


def test_needs_no_tensorflow():
    code = "import sys, scarlet_tf.latency; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
