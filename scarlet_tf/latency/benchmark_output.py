"""Parser for the output of `benchmark_model`, TensorFlow Lite's and LiteRT's.

It reads three formats. TensorFlow 2 prints (`tensorflow/lite/tools/benchmark/benchmark_model.cc`):

    Inference timings in us: Init: 12345, First inference: 9876, Warmup (avg): 8000, Inference (avg): 7654.32

TensorFlow 1 prints "Average inference timings in us: Warmup: 8000, Init: 12345, no stats: 7654.32". LiteRT prints lines
in milliseconds after "BENCHMARK RESULTS" (`litert/tools/benchmark_litert_model.h`). In all three, a line of statistics
ends each phase, warm-up first (`stats_calculator.h`); only newer builds add percentiles:

    count=50 first=7700 curr=7650 min=7600 max=7800 avg=7654.32 std=40 p5=7610 median=7650 p95=7790
"""

from __future__ import annotations

import dataclasses
import math
import re
import signal

from scarlet_tf.latency.adb import AndroidError, last_line

_NUMBER = r"([-+.\deE]+|nan)"
_TIMINGS = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_OLD_TIMINGS = re.compile(
    rf"Average inference timings in us: Warmup: {_NUMBER}, Init: {_NUMBER}, (?:no stats|Inference): {_NUMBER}"
)
_LITERT = {
    "init_ms": re.compile(rf"Model initialization: +{_NUMBER} ms"),
    "first_ms": re.compile(rf"(?:Warmup \(first\)|First inference): +{_NUMBER} ms"),
    "warmup_ms": re.compile(rf"Warmup \(avg\): +{_NUMBER} ms"),
    "mean_ms": re.compile(rf"Inference \(avg\): +{_NUMBER} ms"),
    "min_ms": re.compile(rf"Inference \(min\): +{_NUMBER} ms"),
    "max_ms": re.compile(rf"Inference \(max\): +{_NUMBER} ms"),
    "std_ms": re.compile(rf"Inference \(std\): +{_NUMBER}"),
}
_LITERT_COUNT = re.compile(r"Inference \(avg\): .*\((\d+) runs\)")
_STATISTICS = re.compile(r"^(?:[A-Z]+: )?count=(\d+)\b(.*)$", re.MULTILINE)
_FIELD = re.compile(rf"(\w+)={_NUMBER}")
_FIELDS = {
    "min": "min_ms",
    "max": "max_ms",
    "avg": "mean_ms",
    "std": "std_ms",
    "p5": "p5_ms",
    "median": "median_ms",
    "p95": "p95_ms",
}
_MEMORY = {  # builds of 2020 call the difference from the start "Peak memory footprint"
    "init_mb": re.compile(
        rf"(?:(?:Memory footprint delta from the start of the tool|Peak memory footprint) \(MB\): init=|"
        rf"Init footprint: +){_NUMBER}"
    ),
    "overall_mb": re.compile(rf"(?:\(MB\): init=\S+ overall=|Overall footprint: +){_NUMBER}"),
    "peak_mb": re.compile(
        rf"(?:Overall peak memory footprint \(MB\) via periodic monitoring: |Peak memory: +){_NUMBER}"
    ),
}
_DELEGATION = re.compile(
    r"Replacing (\d+)(?: out of (\d+))? node\(s\) with delegate \(([^)]*)\) node, yielding (\d+) partitions"
)
_DELEGATE_NAMES = {"xnnpack": "XNNPACK", "gpu": "GPU", "nnapi": "NNAPI"}
_OP_COLUMNS = {
    "node type": "type",
    "start": "start_ms",
    "first": "first_ms",
    "avg ms": "avg_ms",
    "%": "percent",
    "cdf%": "cumulative_percent",
    "mem KB": "memory_kb",
    "times called": "times_called",
    "Name": "name",
}
_CANNOT_EXECUTE = re.compile(r"not executable|Exec format error|cannot execute|CANNOT LINK EXECUTABLE|bad ELF")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkRun:
    """One run of the binary. Times are in milliseconds over `count` inferences; None where a build prints none.

    Attributes:
        first_ms: the very first inference, which belongs to the warm-up.
        warmup_ms: mean over the warm-up inferences.
        memory_mb: of the process, as printed: "init_mb" and "overall_mb" as differences from its start, "peak_mb"
            absolute; None where the binary prints none.
        delegations: one dict per delegate: "delegate", "nodes" taken over, of "total" or None, in "partitions".
        partial: whether the binary says that the requested delegate runs only part of the model.
    """

    count: int | None = None
    init_ms: float
    first_ms: float | None = None
    warmup_ms: float
    mean_ms: float
    std_ms: float | None = None
    min_ms: float | None = None
    p5_ms: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None
    max_ms: float | None = None
    memory_mb: dict[str, float | None]
    delegations: list[dict]
    partial: bool


def parse_run(text: str) -> BenchmarkRun:
    """Parse the output of one run. Raise AndroidError if timings are missing, contradictory or not positive."""
    times = _summary(text)
    if times is None:
        raise AndroidError(f"benchmark_model printed no timings; its last line: {last_line(text)!r}")
    for line in list(_STATISTICS.finditer(text))[-1:]:  # the one before is the warm-up's
        statistics = _statistics(int(line[1]), line[2])
        if not statistics["count"]:
            raise AndroidError("benchmark_model reported 0 inferences")
        if not math.isclose(statistics["mean_ms"], times["mean_ms"], rel_tol=0.01, abs_tol=0.006):  # LiteRT rounds
            raise AndroidError(
                f"benchmark_model's output is inconsistent: mean {statistics['mean_ms']} ms in {line[0]!r}, "
                f"{times['mean_ms']} ms in the summary"
            )
        times |= statistics
    if not times["mean_ms"] > 0 or times.get("median_ms", 1) <= 0:
        raise AndroidError("benchmark_model reported a time below a microsecond: too short to compare")
    return BenchmarkRun(
        **times,
        memory_mb=_memory(text),
        delegations=_delegations(text),
        partial="the model graph will be partially executed by the delegate" in text,
    )


def parse_op_profile(text: str) -> list[dict] | None:
    """Return the rows of the "Run Order" table of the timed runs, None if there is none.

    Every row is a dict: "type", "name", "first_ms", "avg_ms", "percent", "cumulative_percent", "memory_kb",
    "times_called", and "start_ms" where the build prints it (TensorFlow 2.8 does, LiteRT does not).
    """
    regular = text[max(0, text.rfind("Operator-wise Profiling Info for Regular Benchmark Runs")) :]
    _, title, table = regular.partition("= Run Order =")
    if not title:
        return None
    header, *lines = table.split("\n")[1:]
    columns = [_OP_COLUMNS[name] for name in re.findall(r"\[([^\]]+)\]", header) if name in _OP_COLUMNS]
    rows = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip("\r\n").split("\t")[1:]]
        if len(cells) != len(columns):
            break
        rows.append({column: _op_value(column, cell) for column, cell in zip(columns, cells, strict=True)})
    nodes = re.search(r"Number of nodes executed: (\d+)", table)
    if nodes and int(nodes[1]) != len(rows):
        raise AndroidError(f"benchmark_model's op profile has {len(rows)} rows, but it reported {nodes[1]} nodes")
    return rows


def refused_delegate(text: str, delegate: str) -> str | None:
    """Return why the run did not use the requested delegate; None if the output shows that it did.

    The binary continues without an error if the delegate takes no node, if the platform has none, or if the flag is
    unknown; LiteRT's also if the accelerator's library is missing. So the output has to say that the delegate was
    applied.
    """
    name = _DELEGATE_NAMES[delegate]
    said = re.search(
        rf"Failed to apply {name} delegate|{name} acceleration is unsupported on this platform|"
        rf"Though {name} delegate is explicitly applied, the model graph will not be executed by the delegate",
        text,
    )
    if said:
        return f"the {name} delegate was not used: benchmark_model printed {said[0]!r}"
    created = delegate == "xnnpack" and "Created TensorFlow Lite XNNPACK delegate for CPU" in text
    if created or taken_by(delegate, _delegations(text)) or re.search(rf"[Aa]pplied {name} delegate", text):
        return None
    if re.search(rf"Unconsumed cmdline flags:.*--use_{delegate}", text):
        return f"the {name} delegate was not used: this benchmark_model has no flag --use_{delegate}"
    return f"the {name} delegate was not used: benchmark_model did not report that it was applied"


def taken_by(delegate: str, delegations: list[dict]) -> list[dict]:
    """Return a run's delegations to one delegate. GPU delegates have many names: all but XNNPACK's and NNAPI's."""
    kinds = [
        next((kind for kind in ("xnnpack", "nnapi") if kind in entry["delegate"].lower()), "gpu")
        for entry in delegations
    ]
    return [entry for entry, kind in zip(delegations, kinds, strict=True) if kind == delegate]


def explain_failure(text: str, exit_code: int) -> str:
    """Return why the binary ended with a non-zero exit code, in one line."""
    if exit_code in (126, 127) or _CANNOT_EXECUTE.search(text):
        return f"the device cannot execute the binary: {last_line(text)}"
    if exit_code > 128:
        return f"benchmark_model was killed by {_signal_name(exit_code - 128)}; its last line: {last_line(text)!r}"
    errors = [line.split("ERROR: ", 1)[1].strip() for line in text.splitlines() if "ERROR: " in line]
    reasons = "; ".join(list(dict.fromkeys(error for error in errors if error not in ("", "Benchmarking failed.")))[:3])
    if failed := re.search(r"Failed to apply (\w+) delegate", text):
        return f"the {failed[1]} delegate was not used: it failed to apply: {reasons or 'no reason given'}"
    if reasons:
        return f"benchmark_model rejected the model (exit code {exit_code}): {reasons}"
    return f"benchmark_model failed with exit code {exit_code}; its last line: {last_line(text)!r}"


def _summary(text: str) -> dict | None:
    """Return times in ms from the last summary, in any of the formats."""
    if found := list(_TIMINGS.finditer(text)):
        init, first, warmup, mean = map(_milliseconds, found[-1].groups())
        return {"init_ms": init, "first_ms": first, "warmup_ms": warmup, "mean_ms": mean}
    if found := list(_OLD_TIMINGS.finditer(text)):
        warmup, init, mean = map(_milliseconds, found[-1].groups())
        return {"init_ms": init, "warmup_ms": warmup, "mean_ms": mean}
    _, title, results = text.partition("BENCHMARK RESULTS")
    found = {name: pattern.search(results) for name, pattern in _LITERT.items()}
    if not title or not (found["init_ms"] and found["warmup_ms"] and found["mean_ms"]):
        return None
    count = _LITERT_COUNT.search(results)
    times = {name: float(match[1]) for name, match in found.items() if match}
    return times | ({"count": int(count[1])} if count else {})


def _statistics(count: int, rest: str) -> dict:
    """Convert the rest of a line of statistics to ms. Equal values are printed as one: "count=1 curr=67"."""
    fields = {name: _milliseconds(value) for name, value in _FIELD.findall(rest)}
    times = {"count": count} | dict.fromkeys(("min_ms", "max_ms", "mean_ms"), fields.get("curr", math.nan))
    return times | {ours: fields[theirs] for theirs, ours in _FIELDS.items() if theirs in fields}


def _milliseconds(microseconds: str) -> float:
    return round(float(microseconds) / 1e3, 6)


def _memory(text: str) -> dict[str, float | None]:
    found = {name: pattern.search(text) for name, pattern in _MEMORY.items()}
    return {name: float(match[1]) if match else None for name, match in found.items()}


def _delegations(text: str) -> list[dict]:
    return [
        {"delegate": name, "nodes": int(nodes), "total": int(total) if total else None, "partitions": int(partitions)}
        for nodes, total, name, partitions in _DELEGATION.findall(text)
    ]


def _op_value(column: str, cell: str) -> str | int | float:
    if column in ("type", "name"):
        return cell
    return int(cell) if column == "times_called" else float(cell.rstrip("%"))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
