"""The profile by operator: every row is there and adds up; the tool prints and saves it."""

import json
import math
import subprocess
import sys

import pytest

from scarlet_tf.arch import count
from scarlet_tf.tflite import TFLiteFileError, operation_counts
from scarlet_tf.tflite.profile import profile_operators


def test_rows_are_complete(network):
    spec, plain, _ = network
    profile = profile_operators(plain.read_bytes(), label="plain", runs=3, warmup=1)
    counts = operation_counts(plain)
    joined = counts.pop("PAD")
    assert joined == 3  # before the stem and the two blocks of stride 2
    assert {kind.kind: kind.count for kind in profile.kinds} == counts
    assert len(profile.operators) == sum(counts.values())
    assert sum(operator.madds for operator in profile.operators) == count(spec).madds
    assert sum(kind.madds for kind in profile.kinds) == count(spec).madds
    for operator in profile.operators:
        assert operator.median_ms > 0 and operator.name and operator.output
        assert operator.gmadds == pytest.approx(1e-6 * operator.madds / operator.median_ms)
    assert profile.sum_ms == pytest.approx(sum(operator.median_ms for operator in profile.operators))
    assert sum(kind.share for kind in profile.kinds) == pytest.approx(1)
    assert [kind.ms for kind in profile.kinds] == sorted((kind.ms for kind in profile.kinds), reverse=True)
    first, second, *_ = profile.slowest(5)
    assert first.median_ms == max(operator.median_ms for operator in profile.operators) >= second.median_ms


def test_operands_are_those_of_the_spec(network):
    spec, plain, _ = network
    rows = profile_operators(plain.read_bytes(), label="plain", runs=1, warmup=0).operators
    depthwise = [row for row in rows if row.kind == "DEPTHWISE_CONV_2D"]
    sizes = [3, *(block.kernel_size for block in spec.blocks if block.kind == "inverted_residual")]
    assert [row.inputs[1][1:3] for row in depthwise] == [(size, size) for size in sizes]
    assert all(row.madds == math.prod(row.output) * row.inputs[1][1] ** 2 for row in depthwise)
    assert rows[-1].kind == "SOFTMAX" and rows[-1].inputs == ((1, 10),)


def test_damaged_file_dies_elsewhere(network):
    _, plain, _ = network
    with pytest.raises(TFLiteFileError, match=r"a\.tflite: the model cannot be run"):
        profile_operators(plain.read_bytes()[:500], label="a.tflite")


@pytest.mark.parametrize(("options", "message"), [({"runs": 0}, "runs must be >= 1"), ({"warmup": -1}, "warmup")])
def test_counts_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        profile_operators(b"", label="none", **options)


def test_tool(network, tmp_path, call_tool):
    spec, plain, fast = network
    flags = ["--runs=2", "--warmup=1", "--op_profile", "--slowest=3", "--output=latency.json"]
    result = call_tool("benchmark_host", f"--models={plain},{fast}", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("operators one by one") == 2 and "matrix product: " in result.stdout
    for row in json.loads((tmp_path / "latency.json").read_text()):
        assert row["madds"] == count(spec).madds == sum(part["madds"] for part in row["op_profile"]["operators"])
        assert row["partitions"] == 1 and len(row["round_ms"]) == 2
        assert {"median_ms", "p10_ms", "p90_ms", "ratio", "utilisation", "sgemm_gmadds"} < set(row)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--slowest=3"], "--slowest needs --op_profile, which prints the slowest operators"),
        (["--output=/dev/null/latency.json"], "/dev/null is not a folder"),
        (["--op_profile", "--slowest=0"], "slowest"),
    ],
)
def test_tool_refuses(flags, message, tflite_file, tmp_path, call_tool):
    result = call_tool("benchmark_host", f"--models={tflite_file}", *flags, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_needs_no_tensorflow():
    code = "import sys, scarlet_tf.tflite.profile; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
