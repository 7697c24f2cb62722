"""Latency of .tflite files on this machine, several files interleaved."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from scarlet_tf.files import write_atomically
from scarlet_tf.latency.runtime import open_interpreter


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostLatency:
    """Times of one file, in milliseconds.

    Attributes:
        ratio: median over the rounds of (this file's time / the first file's time in the same round). Unlike the
            milliseconds it holds on a machine whose speed drifts.
    """

    path: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    ratio: float
    runs: int
    threads: int


def measure_host(
    paths: Sequence[str | os.PathLike], *, threads: int = 1, runs: int = 50, warmup: int = 5, seed: int = 0
) -> list[HostLatency]:
    """Runs every file once a round, in turn, on one random input each; the first `warmup` rounds do not count.

    Raises:
        ValueError: for no files, or counts out of range; TFLiteFileError for a damaged file.
        FileNotFoundError: for a missing file.
    """
    if not paths:
        raise ValueError("no .tflite files to measure")
    for label, value, least in (("threads", threads, 1), ("runs", runs, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{label} must be >= {least}, got {value}")
    interpreters = [open_interpreter(path, threads=threads) for path in paths]
    rng = np.random.default_rng(seed)
    for interpreter in interpreters:
        _set_random_inputs(interpreter, rng)
    times = np.zeros((warmup + runs, len(paths)))
    for row in tqdm(times, "measure", unit="round", leave=False, disable=None):
        for column, interpreter in enumerate(interpreters):
            start = time.perf_counter()
            interpreter.invoke()
            row[column] = time.perf_counter() - start
    return _summaries(paths, 1e3 * times[warmup:], threads=threads)


def save_json(latencies: Sequence[HostLatency], path: str | os.PathLike) -> None:
    """A JSON list, one object a file; written whole or not at all."""
    write_atomically(path, json.dumps([dataclasses.asdict(latency) for latency in latencies], indent=1) + "\n")


def _set_random_inputs(interpreter, rng: np.random.Generator) -> None:
    for detail in interpreter.get_input_details():
        dtype = np.dtype(detail["dtype"])
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            value = rng.integers(limits.min, limits.max, detail["shape"], dtype=dtype, endpoint=True)
        else:
            value = rng.standard_normal(detail["shape"]).astype(dtype)
        interpreter.set_tensor(detail["index"], value)


def _summaries(paths: Sequence[str | os.PathLike], times: np.ndarray, *, threads: int) -> list[HostLatency]:
    """One summary a column of `times`, (rounds, files) milliseconds."""
    p10, median, p90 = np.percentile(times, (10, 50, 90), axis=0)
    ratio = np.median(times / times[:, :1], axis=0)
    return [
        HostLatency(
            path=os.fspath(path),
            median_ms=float(median[i]),
            p10_ms=float(p10[i]),
            p90_ms=float(p90[i]),
            ratio=float(ratio[i]),
            runs=len(times),
            threads=threads,
        )
        for i, path in enumerate(paths)
    ]
