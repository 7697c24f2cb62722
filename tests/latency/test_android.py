"""Measuring on a stand-in for a device: what runs there, what is made of it, and what is written."""

import hashlib
import json

import pytest

from scarlet_tf.latency import AndroidSettings, measure_android, save_android
from scarlet_tf.latency.adb import Adb
from scarlet_tf.latency.android_device import Thermal, read_thermal

QUICK = {"runs": 3, "warmup": 1, "rounds": 3, "cooldown": 0.0, "min_seconds": 0.0}


def measure(device, models, binary, **settings):
    return measure_android(models, binary, settings=AndroidSettings(**QUICK | settings), adb=device.adb)


def test_summaries_of_given_times(device, models, binary):
    device.set(times_us={"model0.tflite": [1, 4000, 5000, 6000], "model1.tflite": [1, 12000, 10000, 15000]})
    benchmark = measure(device, models, binary)
    first, second = benchmark.latencies
    assert [run.median_ms for run in first.rounds] == [4.0, 5.0, 6.0]
    assert (first.median_ms, first.min_ms, first.max_ms, first.ratio) == (5.0, 4.0, 6.0, 1.0)
    assert (first.p10_ms, first.p90_ms) == pytest.approx((4.2, 5.8))
    assert (second.median_ms, second.min_ms, second.max_ms) == (12.0, 10.0, 15.0)
    assert second.ratio == 2.5  # of 3, 2 and 2.5, round by round
    assert (second.path, second.threads, second.statistic) == (str(models[1]), 1, "median")
    assert second.sha256 == hashlib.sha256(models[1].read_bytes()).hexdigest()
    assert second.bytes == models[1].stat().st_size
    assert second.memory_mb == {"init_mb": 4.5, "overall_mb": 6.25, "peak_mb": 8.75}
    assert device.files == []


def test_ratio_holds_when_the_device_slows_down_and_the_times_warn(device, models, binary):
    device.set(times_us={"model0.tflite": [1, 1000, 1000, 5000], "model1.tflite": [1, 2000, 2000, 10000]})
    benchmark = measure(device, models, binary)
    assert benchmark.latencies[1].ratio == 2.0
    assert benchmark.warnings == tuple(
        f"{path}, threads 1: the last third of the rounds took 5.00 times as long as the first: throttling?"
        for path in models
    )


def test_every_round_runs_every_model_with_every_thread_count_in_turning_order(device, models, binary):
    device.set(times_us={"model0.tflite": [5000], "model1.tflite": [5000]})
    measure(device, models, binary, threads=(1, 4), rounds=2, cpu_mask="0xF0")
    ran = [(run["flags"]["graph"][5], run["flags"]["num_threads"]) for run in device.runs]
    each = [("0", "1"), ("0", "4"), ("1", "1"), ("1", "4")]
    assert ran == [*each, *each, *each[1:], each[0]]
    assert {run["cpu_mask"] for run in device.runs} == {"f0"}
    asked = ["report_peak_memory_footprint" in run["flags"] for run in device.runs]
    assert asked == [True] * 4 + [False] * 8  # never while times count
    assert not any("enable_op_profiling" in run["flags"] for run in device.runs)


def test_flags_of_the_binary(device, models, binary):
    settings = {"runs": 7, "warmup": 2, "min_seconds": 0.5, "timeout": 20, "delegate": "gpu", "rounds": 1}
    benchmark = measure(device, models[:1], binary, **settings)
    inspection, run = [run["flags"] for run in device.runs]
    assert inspection == run | {"report_peak_memory_footprint": "true"}
    assert run == {
        "graph": "model0.tflite",
        "num_threads": "1",
        "num_runs": "7",
        "warmup_runs": "2",
        "min_secs": "0.5",
        "warmup_min_secs": "0.25",
        "max_secs": "20",
        "use_gpu": "true",
    }
    assert benchmark.latencies[0].device_command.startswith("./benchmark_model --graph=model0.tflite --num_threads=1 ")
    assert benchmark.latencies[0].rounds[0].delegations == [
        {"delegate": "TfLiteGpuDelegateV2", "nodes": 9, "total": 9, "partitions": 1}
    ]


@pytest.mark.parametrize(
    ("form", "statistic", "peak", "start"),
    [
        ("tensorflow_1", "mean", None, None),
        ("tensorflow_2", "mean", 8.75, 0.0),
        ("percentiles", "median", 8.75, None),
        ("litert", "median", 8.75, None),
    ],
)
def test_forms_of_output(device, models, binary, form, statistic, peak, start):
    device.set(form=form, terminal=True)  # lines end as in a terminal
    latency = measure(device, models[:1], binary, rounds=1, op_profile=True).latencies[0]
    assert (latency.median_ms, latency.statistic, latency.memory_mb["peak_mb"]) == (5.0, statistic, peak)
    assert [row["type"] for row in latency.op_profile] == ["DEPTHWISE_CONV_2D", "SOFTMAX"]
    assert latency.op_profile[0].get("start_ms") == start
    assert latency.op_profile[0]["percent"] == 75.0


def test_facts_and_thermal_state(device, models, binary):
    device.heat((0, 30.5), (2, 41.0))
    benchmark = measure(device, models[:1], binary, rounds=1)
    facts = benchmark.device
    assert (facts.serial, facts.model, facts.soc, facts.android) == ("FAKE0001", "Pixel 8", "Google Tensor G3", "14")
    assert facts.abis == ("arm64-v8a", "armeabi-v7a")
    assert facts.cpus["cpu0"] == {"governor": "sched_pixel", "max_khz": 1704000}
    assert list(facts.cpus) == [f"cpu{i}" for i in range(8)]
    assert benchmark.thermal_before == Thermal(status=0, temperatures={"BIG": 30.5, "VIRTUAL-SKIN": 26.274})
    assert benchmark.thermal_after == Thermal(status=2, temperatures={"BIG": 41.0, "VIRTUAL-SKIN": 26.274})
    assert benchmark.warnings == ("the thermal status rose from 0 (none) to 2 (moderate): the device throttles",)


def test_throttling_from_the_start(device, models, binary):
    device.heat((3, 45.0))
    benchmark = measure(device, models[:1], binary, rounds=1)
    assert benchmark.warnings == ("the thermal status was 3 (severe) from the start: the device throttles",)


def test_what_the_device_does_not_tell(device, models, binary):
    device.heat()
    (device.root / "properties").write_text("")
    for path in (device.root / "sys").rglob("scaling_governor"):
        path.unlink()
    benchmark = measure(device, models[:1], binary, rounds=1)
    facts = benchmark.device
    assert (facts.model, facts.soc, facts.android, facts.abis) == (None, None, None, ())
    assert facts.cpus["cpu7"] == {"governor": None, "max_khz": 2367000}
    assert benchmark.thermal_before == Thermal(status=None, temperatures=None)
    assert benchmark.warnings == ("the device does not report its thermal status: only the times can show throttling",)


def test_thermal_zones_stand_in_for_the_service(device):
    device.heat()
    for i, (kind, value) in enumerate([("cpuss-0", "26400"), ("battery", "24")]):
        zone = device.root / f"sys/class/thermal/thermal_zone{i}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{value}\n")
    assert read_thermal(Adb(program=device.adb)) == Thermal(
        status=None, temperatures={"cpuss-0": 26.4, "battery": 24.0}
    )


@pytest.mark.parametrize("form", ["percentiles", "litert"])
def test_partial_delegation_warns(device, models, binary, form):
    device.set(fault="partial", form=form)
    benchmark = measure(device, models[:1], binary, rounds=1, delegate="gpu")
    assert benchmark.warnings == (
        f"{models[0]}, threads 1: the delegate runs only part of the model (nodes: TfLiteGpuDelegateV2 54/559)",
    )


def test_missing_profile_warns(device, models, binary):
    device.set(fault="no_profile")
    benchmark = measure(device, models[:1], binary, rounds=1, op_profile=True)
    assert benchmark.latencies[0].op_profile is None
    assert benchmark.warnings == (f"{models[0]}, threads 1: benchmark_model printed no op profile",)


def test_file(device, models, binary, tmp_path):
    benchmark = measure(device, models[:1], binary, rounds=2, op_profile=True)
    save_android(benchmark, tmp_path / "result.json", command=["benchmark_android.py", "--models=a.tflite"])
    content = json.loads((tmp_path / "result.json").read_text())
    assert (content["format"], content["version"]) == ("scarlet_tf.android_benchmark", 1)
    assert content["command"] == ["benchmark_android.py", "--models=a.tflite"]
    assert content["settings"]["threads"] == [1]
    assert content["binary"]["abi"] == "arm64-v8a" and content["binary"]["bytes"] == 64
    assert content["device"]["cpus"]["cpu7"]["governor"] == "sched_pixel"
    assert content["thermal_before"]["status"] == 0
    (latency,) = content["latencies"]
    assert [run["median_ms"] for run in latency["rounds"]] == [5.0, 5.0]
    assert latency["op_profile"][1]["name"] == "[op]:1"


def test_a_model_that_really_runs(device, tflite_file, binary):
    device.set(times_us=None)
    latencies = measure(device, [tflite_file, tflite_file], binary, threads=(2,), runs=20, rounds=1).latencies
    assert [(latency.path, latency.threads) for latency in latencies] == [(str(tflite_file), 2)] * 2
    for latency in latencies:
        assert 0 < latency.p10_ms <= latency.median_ms <= latency.p90_ms < 1000
        assert latency.rounds[0].count == 20
        assert latency.rounds[0].min_ms <= latency.rounds[0].median_ms <= latency.rounds[0].max_ms
    assert latencies[0].ratio == 1.0
    assert latencies[1].ratio == latencies[1].median_ms / latencies[0].median_ms
    assert device.files == []
