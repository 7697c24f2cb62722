"""The parser of benchmark_model's outputs, on recorded ones of every known form."""

from pathlib import Path

import pytest

from scarlet_tf.latency import AndroidError
from scarlet_tf.latency.benchmark_output import explain_failure, parse_op_profile, parse_run, refused_delegate

RECORDINGS = Path(__file__).parent / "recordings"
TIMINGS = "Inference timings in us: Init: 9, First inference: 8, Warmup (avg): 7, Inference (avg): "
NO_MEMORY = {"init_mb": None, "overall_mb": None, "peak_mb": None}


def read(name):
    return (RECORDINGS / f"{name}.txt").read_text()


def test_tensorflow_1_prints_no_percentiles_and_no_memory():
    run = parse_run(read("tensorflow_1_android"))
    assert (run.count, run.init_ms, run.warmup_ms, run.mean_ms) == (15, 9.933, 76.6059, 66.7676)
    assert (run.min_ms, run.max_ms, run.std_ms) == (66.699, 66.838, 0.039)
    assert (run.first_ms, run.median_ms, run.p5_ms, run.p95_ms) == (None, None, None, None)
    assert run.memory_mb == NO_MEMORY
    assert run.delegations == []


def test_tensorflow_2_counts_the_regular_runs_and_not_the_warm_up():
    run = parse_run(read("tensorflow_2_gpu"))
    assert (run.count, run.mean_ms, run.warmup_ms, run.first_ms, run.init_ms) == (
        50,
        119.375,
        122.373,
        130.565,
        870.557,
    )
    assert not run.partial


def test_memory_by_its_older_name_and_the_peak():
    assert parse_run(read("tensorflow_2_peak")).memory_mb == NO_MEMORY | {"init_mb": 0, "overall_mb": 12.8672}
    run = parse_run(read("tensorflow_1_android") + read("memory_peak"))
    assert run.memory_mb == {"init_mb": 2.43359, "overall_mb": 8.67578, "peak_mb": 13.1797}


def test_percentiles():
    run = parse_run(read("percentiles_cpu"))
    assert (run.count, run.mean_ms, run.median_ms, run.p5_ms, run.p95_ms) == (50, 699.438, 576.856, 502.674, 1373.207)
    assert (run.min_ms, run.max_ms, run.std_ms) == (502.355, 2270.688, 325.425)
    assert run.memory_mb == {"init_mb": 98.0977, "overall_mb": 99.2031, "peak_mb": None}
    assert run.delegations == [{"delegate": "TfLiteXNNPackDelegate", "nodes": 49, "total": 49, "partitions": 1}]


def test_litert_takes_microseconds_from_the_statistics():
    run = parse_run(read("litert_op_profile"))
    assert (run.count, run.mean_ms, run.median_ms, run.max_ms) == (
        2112,
        0.464545,
        0.462,
        0.979,
    )  # the summary says 0.46
    assert (run.init_ms, run.first_ms, run.warmup_ms) == (4.48, 1.03, 0.47)
    assert run.memory_mb == {"init_mb": 8.94, "overall_mb": 11.51, "peak_mb": None}


def test_litert_without_a_line_of_statistics():
    run = parse_run(read("litert_gpu"))
    assert (run.count, run.mean_ms, run.min_ms, run.max_ms, run.std_ms) == (10, 7430.2, 7416.4, 7448.86, 9.92)
    assert (run.median_ms, run.init_ms) == (None, 23744.73)
    assert run.memory_mb["overall_mb"] == 6391.74


def test_op_profile_with_starts():
    rows = parse_op_profile(read("tensorflow_2_8_op_profile"))
    assert len(rows) == 31
    assert rows[0] == {
        "type": "CONV_2D",
        "start_ms": 0.066,
        "first_ms": 87.754,
        "avg_ms": 60.957,
        "percent": 2.066,
        "cumulative_percent": 2.066,
        "memory_kb": 0.0,
        "times_called": 1,
        "name": "[MobilenetV1/MobilenetV1/Conv2d_0/Relu6]:0",
    }
    assert sum(row["avg_ms"] for row in rows) == pytest.approx(2949.9, abs=0.1)  # the summary's mean


def test_op_profile_of_litert_has_no_starts():
    rows = parse_op_profile(read("litert_op_profile"))
    assert [row["type"] for row in rows][::2] == [
        "LiteRT::Run[buffer registration]",
        "Static Reshape (NC)",
        "LiteRT::Run[Buffer sync]",
    ]
    assert rows[1] | {"name": ""} == {
        "type": "AllocateTensors",
        "first_ms": 0.291,
        "avg_ms": 0.291,
        "percent": 0.022,
        "cumulative_percent": 3.331,
        "memory_kb": 452.0,
        "times_called": 0,
        "name": "",
    }


def test_op_profile_that_is_missing_or_cut():
    assert parse_op_profile(read("percentiles_cpu")) is None
    cut = read("litert_op_profile").replace("Number of nodes executed: 5", "Number of nodes executed: 6")
    with pytest.raises(AndroidError, match="5 rows, but it reported 6 nodes"):
        parse_op_profile(cut)


def test_equal_times_are_printed_once():
    run = parse_run(f"count=4 curr=67(all same)\n\n{TIMINGS}67")
    assert (run.count, run.min_ms, run.mean_ms, run.max_ms, run.median_ms) == (4, 0.067, 0.067, 0.067, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "printed no timings; its last line: ''"),
        ("INFO: STARTING!\n<html>\n", "printed no timings; its last line: '<html>'"),
        (read("percentiles_cpu").split("INFO: Inference timings")[0], "printed no timings"),
        (f"count=5 first=9 curr=9 min=8 max=9 avg=8.5 std=1\n{TIMINGS}17", "output is inconsistent: mean 0.0085 ms"),
        (f"count=0\n{TIMINGS}nan", "reported 0 inferences"),
        (f"count=5 curr=0(all same)\n{TIMINGS}0", "below a microsecond"),
    ],
)
def test_outputs_that_cannot_be_read(text, message):
    with pytest.raises(AndroidError, match=message):
        parse_run(text)


def test_delegates_that_were_used():
    assert refused_delegate(read("tensorflow_2_gpu"), "gpu") is None
    assert refused_delegate(read("percentiles_cpu"), "xnnpack") is None
    assert refused_delegate(read("litert_op_profile"), "xnnpack") is None  # no flag of that name, but XNNPACK


@pytest.mark.parametrize(
    ("name", "delegate", "reason"),
    [
        ("percentiles_nnapi_not_used", "nnapi", "the model graph will not be executed by the delegate"),
        ("tensorflow_2_nnapi_failed", "nnapi", "Failed to apply NNAPI delegate"),
        ("percentiles_cpu", "gpu", "did not report that it was applied"),
        ("litert_gpu", "gpu", "did not report that it was applied"),
        ("tensorflow_1_android", "xnnpack", "did not report that it was applied"),
    ],
)
def test_delegates_that_were_not(name, delegate, reason):
    assert reason in refused_delegate(read(name), delegate)


@pytest.mark.parametrize(
    ("text", "exit_code", "reason"),
    [
        (
            read("percentiles_model_refused"),
            1,
            "rejected the model (exit code 1): tensorflow/lite/kernels/batch_matmul",
        ),
        (read("tensorflow_2_nnapi_failed"), 1, "the NNAPI delegate was not used: it failed to apply: NN API returned"),
        ("INFO: STARTING!\nSegmentation fault\n", 139, "killed by SIGSEGV; its last line: 'Segmentation fault'"),
        ("sh: ./benchmark_model: not executable: 64-bit ELF file", 126, "cannot execute the binary: sh: ./benchmark"),
        ("sh: taskset: inaccessible or not found", 127, "cannot execute the binary: sh: taskset: inaccessible"),
        ("INFO: STARTING!\n", 3, "failed with exit code 3; its last line: 'INFO: STARTING!'"),
        ("", 250, "killed by signal 122"),
    ],
)
def test_failures_are_told_apart(text, exit_code, reason):
    explained = explain_failure(text, exit_code)
    assert reason in explained and "\n" not in explained
