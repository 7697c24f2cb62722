"""Timing on this machine: the summaries' numbers, and what is refused."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scarlet_tf.latency import host, measure_host, save_json
from scarlet_tf.latency.matrix_product import MatrixProduct
from scarlet_tf.tflite import TFLiteFileError, operation_counts


def summaries(times, rates=None):
    files = times.shape[1]
    rates = np.ones(len(times)) if rates is None else rates
    return host._summaries(["a", "b"], times, rates, threads=2, partitions=[1] * files, madds=[10**6] * files)


def test_summaries_of_known_times():
    times = np.stack([np.arange(1.0, 12.0), 3 * np.arange(1.0, 12.0)], axis=1)  # 1..11 ms, and three times that
    first, second = summaries(times)
    assert (first.p10_ms, first.median_ms, first.p90_ms, first.ratio) == (2.0, 6.0, 10.0, 1.0)
    assert (second.p10_ms, second.median_ms, second.p90_ms, second.ratio) == (6.0, 18.0, 30.0, 3.0)
    assert (second.path, second.runs, second.threads) == ("b", 11, 2)
    assert second.round_ms == tuple(3.0 * n for n in range(1, 12))


def test_ratio_and_utilisation_hold_when_the_machine_slows_down():
    drift = np.array([1.0, 1.0, 5.0, 5.0, 5.0])
    first, second = summaries(np.stack([drift, 2 * drift], axis=1), rates=40 / drift)
    assert second.ratio == 2.0
    assert first.utilisation == pytest.approx(1 / 40)  # 10^6 in 1 ms are 1 G a second, of 40
    assert second.utilisation == pytest.approx(1 / 80)
    assert first.sgemm_gmadds == 8.0


def test_measure(tflite_file, tmp_path):
    latencies = measure_host([tflite_file, tflite_file], runs=20, warmup=2)
    assert [latency.path for latency in latencies] == [str(tflite_file)] * 2
    for latency in latencies:
        assert 0 < latency.p10_ms <= latency.median_ms <= latency.p90_ms < 1000
        assert (latency.partitions, latency.madds, len(latency.round_ms)) == (1, 6 * 6 * 4 * 9, 20)
        assert 0.1 < latency.sgemm_gmadds < 10_000 and 0 < latency.utilisation < 1
    assert latencies[0].ratio == 1.0
    save_json(latencies, tmp_path / "latency.json")
    saved = json.loads((tmp_path / "latency.json").read_text())
    for row, latency in zip(saved, latencies, strict=True):
        expected = dataclasses.asdict(latency) | {"round_ms": list(latency.round_ms), "op_profile": None}
        assert row == expected
    assert [path.name for path in tmp_path.iterdir()] == ["latency.json"]


def test_matrix_product_keeps_to_its_threads():
    with MatrixProduct(threads=1) as product:
        rates = [product.rate() for _ in range(3)]
        threads = list(Path(f"/proc/{product._process.pid}/task").iterdir())
        product._process.kill()
        with pytest.raises(OSError, match="process ended with exit code -9"):
            product.rate()
    assert min(rates) > 0.1
    assert len(threads) == 1


def test_operation_counts(tflite_file):
    assert operation_counts(tflite_file) == {"DEPTHWISE_CONV_2D": 1}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_files(tflite_file, tmp_path, share):
    whole = tflite_file.read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: int(share * len(whole))])
    problem = "the file is truncated or damaged" if share else "the file is empty"
    with pytest.raises(TFLiteFileError, match=rf"cut\.tflite: the model cannot be run: {problem}"):
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
