"""The page of the comparison of runtimes."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.machine import describe
from benchmarks.result_files import remarks
from benchmarks.runtimes.runtime_names import HOST, RUNTIMES, XNNPACK


def make_page(result: Mapping) -> str:
    """Return the page with a table for each format and number of threads, and what did not run."""
    cases = result["cases"]
    groups = list(dict.fromkeys((case["format"], case["threads"]) for case in cases))
    tables = [
        _times([case for case in cases if (case["format"], case["threads"]) == group], *group) for group in groups
    ]
    settings = "\n".join(f"- {name}: {text}" for name, text in result["settings"].items())
    return f"""# Time of .tflite files and of other runtimes

    {result["command"]}

{describe(result, cpu_flags=True)}; random weights, seed {result["seed"]}.

The networks are those of [TFLite files and peers](tflite_peers.md): normalised images of 224 x 224, a softmax over 1000
classes, batch 1. All runtimes have the same weights. Each runs in a process of its own, which is stopped between its
turns; every round, each runs twice, and the second run is timed. The figures are medians of {result["rounds"]} rounds \
after {result["warmup"]}
that do not count. A process may use as many cores as it has threads.

Ratios are medians [10th, 90th percentile] of the quotients within a round, by the fastest of the other runtimes: below
1, ours is faster. int8 is calibrated on the same random images everywhere.

{settings}

{chr(10).join(tables)}
## Outputs

Largest difference from LiteRT's plain float32 output, as a share of its largest value, at one thread count. Float32
outputs that differ by more than {result["max_error"]:g} would be refused. "other class": the int8 output has another \
top-1 class. A
runtime that rounds the probabilities to multiples of 1/256 is off by most of the largest, about 0.002: weights are
random.

{_outputs(cases)}

## Not run

{_refused(cases)}
- onnx2tf is not among the converters: it downloads a file from GitHub at every conversion of an image network.
{remarks(result)}"""


def _times(cases: list[Mapping], form: str, threads: int) -> str:
    names = [name for name in RUNTIMES if any(name in case["runtimes"] for case in cases)]
    header = ["network", *names, "fastest other", f"{XNNPACK} / fastest other", f"{HOST} / fastest other"]
    rows = []
    for case in cases:
        times = [_number(case["runtimes"].get(name, {}).get("median_ms")) for name in names]
        ratios = [_ratio(case["ratios"].get(name)) for name in (XNNPACK, HOST)]
        rows.append([case["network"], *times, case["ratios"].get("fastest_other", ""), *ratios])
    return f"## {form}, threads {threads}: milliseconds\n\n{_table(header, rows)}\n"


def _outputs(cases: list[Mapping]) -> str:
    fewest = min(case["threads"] for case in cases)
    cases = [case for case in cases if case["threads"] == fewest]
    names = [name for name in RUNTIMES if any(name in case["runtimes"] for case in cases)]
    rows = [
        [case["network"], case["format"], *(_error(case["runtimes"].get(name)) for name in names)] for case in cases
    ]
    return _table(["network", "format", *names], rows)


def _refused(cases: list[Mapping]) -> str:
    """Return a line for each reason, with the cases it holds for."""
    where = {}
    for case in cases:
        for name, reason in case["refused"].items():
            where.setdefault((name, case["format"], reason), {})[case["network"]] = None
    every = len({case["network"] for case in cases})
    lines = [
        f"- {name}, {form}, {'all networks' if len(networks) == every else ', '.join(networks)}: {reason}"
        for (name, form, reason), networks in where.items()
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ratio(ratio: Mapping | None) -> str:
    return "" if ratio is None else f"{ratio['median']:.3f} [{ratio['p10']:.3f}, {ratio['p90']:.3f}]"


def _error(found: Mapping | None) -> str:
    if found is None:
        return ""
    return f"{found['error']:.1e}" + ("" if found["same_top_1"] else ", other class")


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
