"""Latency of .tflite files on this machine, several files and a matrix product interleaved."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.files import write_atomically
from scarlet_tf.latency.matrix_product import MatrixProduct
from scarlet_tf.progress import progress
from scarlet_tf.tflite.first_look import first_run
from scarlet_tf.tflite.first_look_process import check_inputs, random_inputs
from scarlet_tf.tflite.madds import count_madds
from scarlet_tf.tflite.runtime import TFLiteFileError, check_counts, count_partitions, invoke, open_interpreter


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostLatency:
    """Times of one file, in milliseconds.

    Attributes:
        ratio: median over the rounds of (this file's time / the first file's time in the same round). Unlike the
            milliseconds it holds on a machine whose speed drifts.
        partitions: pieces that the XNNPACK delegate runs; what lies between them runs op by op.
        madds: multiply-adds of one inference, see `count_madds`.
        sgemm_gmadds: median rate of a float32 matrix product on as many threads, 10^9 multiply-adds a second.
        utilisation: median over the rounds of (this file's multiply-adds a second / the product's in the same round).
            The product is float32 whatever the file computes in.
        round_ms: the time in every round that counts.
    """

    path: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    ratio: float
    runs: int
    threads: int
    partitions: int
    madds: int
    sgemm_gmadds: float
    utilisation: float
    round_ms: tuple[float, ...]


def measure_host(
    paths: Sequence[str | os.PathLike], *, threads: int = 1, runs: int = 50, warmup: int = 5, seed: int = 0
) -> list[HostLatency]:
    """Runs every file once a round, in turn, on one random input each; the first `warmup` rounds do not count.

    Every round ends with a matrix product, see `MatrixProduct`.

    Raises:
        ValueError: for no files, or counts out of range; TFLiteFileError for a file that cannot be run.
        FileNotFoundError: for a missing file.
    """
    if not paths:
        raise ValueError("no .tflite files to measure")
    check_counts(threads=threads, runs=runs, warmup=warmup)
    madds = [count_madds(path) for path in paths]
    interpreters = [_ready(path, threads=threads, seed=seed) for path in paths]
    times, rates = np.zeros((warmup + runs, len(paths))), np.zeros(warmup + runs)
    with MatrixProduct(threads=threads) as product:
        for turn in progress(range(warmup + runs), "measure", unit="round"):
            for column, interpreter in enumerate(interpreters):
                start = time.perf_counter()
                interpreter.invoke()
                times[turn, column] = time.perf_counter() - start
            rates[turn] = product.rate()
    return _summaries(
        paths,
        1e3 * times[warmup:],
        rates[warmup:],
        threads=threads,
        partitions=[count_partitions(interpreter) for interpreter in interpreters],
        madds=madds,
    )


def find_failures(paths: Sequence[str | os.PathLike]) -> dict[str, str]:
    """Why files cannot be run, in one line each, by path: every file runs once, in a process of its own.

    Raises:
        FileNotFoundError: for a missing file, before the first runs.
    """
    for path in map(Path, paths):
        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path}")
    failures = {}
    for path in progress([*dict.fromkeys(map(os.fspath, paths))], "first run", unit="file"):
        try:
            first_run(Path(path).read_bytes(), label=path)
        except TFLiteFileError as error:
            failures[path] = str(error)
    return failures


def save_json(
    latencies: Sequence[HostLatency],
    path: str | os.PathLike,
    *,
    profiles: Mapping[str, dict] | None = None,
    failures: Mapping[str, str] | None = None,
) -> None:
    """A JSON list, one object a file; written whole or not at all.

    Args:
        profiles: by path, for the key "op_profile", which is null without one.
        failures: by path, as `find_failures` gives them, for the key "error"; a file that was not measured has nothing
            else but its "path".
    """
    profiles, failures = profiles or {}, failures or {}
    content = [
        dataclasses.asdict(latency)
        | {"op_profile": profiles.get(latency.path)}
        | ({"error": failures[latency.path]} if latency.path in failures else {})
        for latency in latencies
    ]
    measured = {latency.path for latency in latencies}
    content += [{"path": path, "error": error} for path, error in failures.items() if path not in measured]
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def _ready(path: str | os.PathLike, *, threads: int, seed: int):
    """An interpreter with its inputs set that ran once."""
    interpreter = open_interpreter(path, threads=threads)
    try:
        check_inputs(interpreter)
    except ValueError as error:
        raise TFLiteFileError(f"{path}: not a model that can be run: {error}") from error
    for detail, value in zip(interpreter.get_input_details(), random_inputs(interpreter, seed), strict=True):
        interpreter.set_tensor(detail["index"], value)
    invoke(interpreter, label=path)
    return interpreter


def _summaries(
    paths: Sequence[str | os.PathLike],
    times: np.ndarray,
    rates: np.ndarray,
    *,
    threads: int,
    partitions: Sequence[int],
    madds: Sequence[int],
) -> list[HostLatency]:
    """One summary a column of `times`, (rounds, files) milliseconds; `rates`: (rounds,), the product's."""
    p10, median, p90 = np.percentile(times, (10, 50, 90), axis=0)
    ratio = np.median(times / times[:, :1], axis=0)
    achieved = 1e-6 * np.asarray(madds) / times  # 10^9 a second
    utilisation = np.median(achieved / rates[:, np.newaxis], axis=0)
    return [
        HostLatency(
            path=os.fspath(path),
            median_ms=float(median[i]),
            p10_ms=float(p10[i]),
            p90_ms=float(p90[i]),
            ratio=float(ratio[i]),
            runs=len(times),
            threads=threads,
            partitions=partitions[i],
            madds=madds[i],
            sgemm_gmadds=float(np.median(rates)),
            utilisation=float(utilisation[i]),
            round_ms=tuple(times[:, i].tolist()),
        )
        for i, path in enumerate(paths)
    ]
