"""Latency of .tflite files on this machine, with the files and a matrix product interleaved."""

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
from scarlet_tf.paths import no_such
from scarlet_tf.progress import progress
from scarlet_tf.tflite.first_look import first_run
from scarlet_tf.tflite.first_look_process import check_inputs, random_inputs
from scarlet_tf.tflite.madds import count_madds
from scarlet_tf.tflite.runtime import TFLiteFileError, check_counts, invoke, open_interpreter, partition_count


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostLatency:
    """Times of one file, in milliseconds.

    Attributes:
        ratio: median over the rounds of (this file's time / the first file's time in the same round). Unlike the
            milliseconds, it is valid on a machine whose speed drifts.
        partitions: pieces that the XNNPACK delegate runs; operations between them run one by one.
        madds: multiply-adds of one inference, see `count_madds`.
        sgemm_gmadds: median rate of a float32 matrix product on as many threads, in 10^9 multiply-adds per second.
        utilisation: median over the rounds of (this file's multiply-adds per second / the product's in the same round).
            The product is always float32, even if the file is not.
        round_ms: time in each timed round.
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
    """Measure the latency of .tflite files on this machine.

    Every round runs each file once, on the same random input in all rounds, and ends with a matrix product, see
    `MatrixProduct`.

    Args:
        paths: .tflite files; ratios are relative to the first.
        threads: of the interpreters and of the matrix product.
        runs: timed rounds.
        warmup: untimed rounds before them.
        seed: of the random inputs.

    Returns:
        One result per file, in the order of `paths`.

    Raises:
        ValueError: if there are no files, or a count is out of range; TFLiteFileError for a file that cannot be run.
        FileNotFoundError: if a file is missing.
    """
    if not paths:
        raise ValueError("no .tflite files to measure")
    check_counts(threads=threads, runs=runs, warmup=warmup)
    madds = [count_madds(path) for path in paths]
    interpreters = [ready_interpreter(path, threads=threads, seed=seed) for path in paths]
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
        partitions=[partition_count(interpreter) for interpreter in interpreters],
        madds=madds,
    )


def find_failures(paths: Sequence[str | os.PathLike]) -> dict[str, str]:
    """Run every file once, each in its own process, and return why files fail.

    Returns:
        One-line reasons by path, only for files that cannot be run.

    Raises:
        FileNotFoundError: if a file is missing, before any file runs.
    """
    for path in map(Path, paths):
        if not path.is_file():
            raise FileNotFoundError(no_such(path))
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
    """Write results as a JSON list, one object per file. The file is written atomically.

    Args:
        profiles: by path, for the key "op_profile"; null without one.
        failures: by path, as `find_failures` returns them, for the key "error"; a file that was not measured has only
            "path" and "error".
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


def ready_interpreter(path: str | os.PathLike, *, threads: int, seed: int):
    """Return an interpreter that has its inputs set, random ones, and has run once.

    Raises:
        FileNotFoundError: for a missing file.
        TFLiteFileError: for a file that cannot be run.
    """
    interpreter = open_interpreter(path, threads=threads)
    try:
        check_inputs(interpreter)
    except ValueError as error:
        raise TFLiteFileError(f"{path}: the model cannot be run: {error}") from error
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
    """Summarise each column of `times`, (rounds, files) in ms; `rates` are the matrix product's, (rounds,)."""
    p10, median, p90 = np.percentile(times, (10, 50, 90), axis=0)
    ratio = np.median(times / times[:, :1], axis=0)
    achieved = 1e-6 * np.asarray(madds) / times  # 10^9 per second
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
