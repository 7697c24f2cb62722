"""Results of a measurement on an Android device: summaries over the rounds, warnings, and the JSON file."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence

import numpy as np

from scarlet_tf.files import write_atomically
from scarlet_tf.latency.android_device import THERMAL_STATUS, DeviceFacts, Thermal
from scarlet_tf.latency.android_settings import AndroidSettings
from scarlet_tf.latency.benchmark_output import BenchmarkRun, taken_by

FORMAT = "scarlet_tf.android_benchmark"
VERSION = 1
SLOWER = 1.1  # throttling is suspected if the last third of the rounds takes more than this times the first third


@dataclasses.dataclass(frozen=True, kw_only=True)
class AndroidLatency:
    """Times of one model with one thread count, in milliseconds.

    Attributes:
        statistic: what represents a round: the "median" of its inferences, or the "mean" with builds of
            benchmark_model that print no median.
        median_ms: over the rounds, as are p10_ms, p90_ms, min_ms and max_ms.
        ratio: median over the rounds of (this model's time / the first model's in that round, with as many threads).
        rounds: everything that the binary printed in each round.
        memory_mb: from a separate, untimed run, see `BenchmarkRun`.
        op_profile: from the same untimed run, see `parse_op_profile`; None if not requested or not printed.
        device_command: the command that ran on the device, in the folder of the files.
    """

    path: str
    sha256: str
    bytes: int
    threads: int
    statistic: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    min_ms: float
    max_ms: float
    ratio: float
    rounds: tuple[BenchmarkRun, ...]
    memory_mb: dict[str, float | None]
    op_profile: list[dict] | None
    device_command: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class AndroidBenchmark:
    """A complete measurement: latencies by model, then by thread count, and what they were measured on."""

    settings: AndroidSettings
    binary: dict[str, str | int]
    device: DeviceFacts
    thermal_before: Thermal
    thermal_after: Thermal
    warnings: tuple[str, ...]
    latencies: tuple[AndroidLatency, ...]


def round_times(rounds: Sequence[BenchmarkRun]) -> tuple[str, np.ndarray]:
    """Return the statistic that represents a round, "median" or "mean", and its values, (rounds,) float64 ms."""
    if all(run.median_ms is not None for run in rounds):
        return "median", np.array([run.median_ms for run in rounds])
    return "mean", np.array([run.mean_ms for run in rounds])


def summarise(rounds: Sequence[BenchmarkRun], first: Sequence[BenchmarkRun]) -> dict:
    """Return the fields of AndroidLatency that summarise the rounds; `first` are the first model's rounds."""
    statistic, times = round_times(rounds)
    p10, median, p90 = np.percentile(times, (10, 50, 90))
    return {
        "statistic": statistic,
        "median_ms": float(median),
        "p10_ms": float(p10),
        "p90_ms": float(p90),
        "min_ms": float(times.min()),
        "max_ms": float(times.max()),
        "ratio": float(np.median(times / round_times(first)[1])),
        "rounds": tuple(rounds),
    }


def find_warnings(
    latencies: Sequence[AndroidLatency], before: Thermal, after: Thermal, settings: AndroidSettings
) -> list[str]:
    """Return reasons to doubt the times: throttling, or a delegate that left operations to the CPU."""
    return [
        *_thermal_warnings(before, after),
        *(warning for latency in latencies for warning in _latency_warnings(latency, settings)),
    ]


def save_android(benchmark: AndroidBenchmark, path: str | os.PathLike, *, command: Sequence[str]) -> None:
    """Write a measurement as a JSON object, with FORMAT, VERSION, the command, and the fields of AndroidBenchmark.

    Args:
        command: the command line that made the measurement.
    """
    content = {"format": FORMAT, "version": VERSION, "command": list(command)} | dataclasses.asdict(benchmark)
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def _thermal_warnings(before: Thermal, after: Thermal) -> list[str]:
    if before.status is None or after.status is None:
        return ["the device does not report its thermal status: only the times can show throttling"]
    names = [f"{status} ({THERMAL_STATUS[min(status, 6)]})" for status in (before.status, after.status)]
    if after.status > before.status:
        return [f"the thermal status rose from {names[0]} to {names[1]}: the device throttles"]
    if before.status:
        return [f"the thermal status was {names[0]} from the start: the device throttles"]
    return []


def _latency_warnings(latency: AndroidLatency, settings: AndroidSettings) -> list[str]:
    name = f"{latency.path}, threads {latency.threads}"
    warnings = []
    _, times = round_times(latency.rounds)
    third = len(times) // 3
    if third and np.median(times[-third:]) > SLOWER * np.median(times[:third]):
        slower = np.median(times[-third:]) / np.median(times[:third])
        warnings.append(
            f"{name}: the last third of the rounds took {slower:.2f} times as long as the first: throttling?"
        )
    taken = taken_by(settings.delegate, latency.rounds[-1].delegations) if settings.delegate else []
    if latency.rounds[-1].partial or any(entry["total"] and entry["nodes"] < entry["total"] for entry in taken):
        nodes = ", ".join(f"{entry['delegate']} {entry['nodes']}/{entry['total']}" for entry in taken)
        warnings.append(f"{name}: the delegate runs only part of the model (nodes: {nodes or 'not printed'})")
    if settings.op_profile and latency.op_profile is None:
        warnings.append(f"{name}: benchmark_model printed no op profile")
    return warnings
