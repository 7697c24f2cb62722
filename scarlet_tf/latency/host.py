"""Latency of .tflite files on this machine, several files and a matrix product interleaved."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from scarlet_tf.files import write_atomically
from scarlet_tf.latency.madds import count_madds
from scarlet_tf.latency.matrix_product import MatrixProduct
from scarlet_tf.latency.runtime import count_partitions, open_interpreter


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
        ValueError: for no files, or counts out of range; TFLiteFileError for a damaged file.
        FileNotFoundError: for a missing file.
    """
    if not paths:
        raise ValueError("no .tflite files to measure")
    check_counts(threads=threads, runs=runs, warmup=warmup)
    madds = [count_madds(path) for path in paths]
    interpreters = [open_interpreter(path, threads=threads) for path in paths]
    rng = np.random.default_rng(seed)
    for interpreter in interpreters:
        _set_random_inputs(interpreter, rng)
    times, rates = np.zeros((warmup + runs, len(paths))), np.zeros(warmup + runs)
    with MatrixProduct(threads=threads) as product:
        for turn in tqdm(range(warmup + runs), "measure", unit="round", leave=False, disable=None):
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


def check_counts(*, threads: int, runs: int, warmup: int) -> None:
    """ValueError for a count out of range."""
    for label, value, least in (("threads", threads, 1), ("runs", runs, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{label} must be >= {least}, got {value}")


def save_json(
    latencies: Sequence[HostLatency], path: str | os.PathLike, *, profiles: Sequence[dict | None] | None = None
) -> None:
    """A JSON list, one object a file; written whole or not at all.

    Args:
        profiles: of the files, for the key "op_profile", which is null without them.
    """
    profiles = [None] * len(latencies) if profiles is None else profiles
    content = [
        dataclasses.asdict(latency) | {"op_profile": profile}
        for latency, profile in zip(latencies, profiles, strict=True)
    ]
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def _set_random_inputs(interpreter, rng: np.random.Generator) -> None:
    for detail in interpreter.get_input_details():
        dtype = np.dtype(detail["dtype"])
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            value = rng.integers(limits.min, limits.max, detail["shape"], dtype=dtype, endpoint=True)
        else:
            value = rng.standard_normal(detail["shape"]).astype(dtype)
        interpreter.set_tensor(detail["index"], value)


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
