"""Networks in our .tflite files and in other runtimes: times, ratios and differences of outputs, as JSON values."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import provenance
from benchmarks.runtimes.network_files import NetworkFiles
from benchmarks.runtimes.runtime import Case
from benchmarks.runtimes.runtime_names import OTHERS, OURS, PLAIN, RUNTIMES
from benchmarks.runtimes.timing import RefusedError, Worker, time_rounds
from scarlet_tf.cli import usable_cores

FORMAT = "scarlet_tf.runtimes"
VERSION = 1
_SLACK = 0.01  # of probabilities that a runtime rounds
MAX_ERROR = 1e-4  # of a float32 network's outputs, against LiteRT's


def installed_versions() -> dict[str, str]:
    """Return the versions of the runtimes' packages, without those that are not installed."""
    versions = {}
    for package in dict.fromkeys(runtime.package for runtime in RUNTIMES.values()):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def check_threads(threads: Sequence[int]) -> None:
    """Raise ValueError for a number of threads that is below 1, or above the number of cores."""
    cores = len(usable_cores())
    for count in threads:
        if not 1 <= count <= cores:
            raise ValueError(f"threads must be in 1..{cores}, the cores that this process may use, got {count}")


def compare_all(
    networks: Sequence[NetworkFiles],
    formats: Sequence[str],
    threads: Sequence[int],
    *,
    folder: Path,
    rounds: int,
    warmup: int,
    seed: int,
    command: str,
) -> dict:
    """Compare every network in every format and number of threads; return a dictionary for JSON.

    Returns:
        format, version, command, date, machine, versions, seed, rounds, warmup, max_error, "settings" by runtime, and
        "cases" (see `compare`).
    """
    cases = [
        compare(files, form, count, folder=folder, rounds=rounds, warmup=warmup, seed=seed)
        for form in formats
        for count in threads
        for files in networks
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        **provenance(command),
        "versions": installed_versions() | {"python": platform.python_version()},
        "seed": seed,
        "rounds": rounds,
        "warmup": warmup,
        "max_error": MAX_ERROR,
        "settings": {name: runtime.settings for name, runtime in RUNTIMES.items()},
        "cases": cases,
    }


def compare(files: NetworkFiles, form: str, threads: int, *, folder: Path, rounds: int, warmup: int, seed: int) -> dict:
    """Time a network in all runtimes that can run it.

    Args:
        folder: where the runtimes keep their own files.
        rounds: measured rounds, after `warmup` that are not.
        seed: of the image that all of them get.

    Returns:
        network, format, threads; "runtimes": for each that ran its median_ms, p10_ms, p90_ms, its output's error and
        whether the output has the same top-1 class as LiteRT's float32; "ratios": ours to the fastest of the others;
        "refused": reasons by runtime.
    """
    cores = usable_cores()[:threads]

    def case(form: str) -> Case:
        return Case(
            network=files.network,
            format=form,
            threads=threads,
            tflite=files.tflite[form],
            onnx=files.onnx,
            images=files.images,
            folder=str(folder),
        )

    workers, found, refused = {}, {}, {}
    with contextlib.ExitStack() as stack:
        image = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "image.npy")
        shape = np.load(files.images, mmap_mode="r").shape
        np.save(image, np.random.default_rng(seed + 1).standard_normal((1, *shape[1:]), np.float32))
        with Worker(PLAIN, case("float32"), image=image, cores=cores) as worker:
            expected = worker.output
        for name in RUNTIMES:
            try:
                worker = stack.enter_context(Worker(name, case(form), image=image, cores=cores))
                found[name] = _agreement(worker.output, expected, form=form)
                workers[name] = worker
            except RefusedError as error:
                refused[name] = str(error)
        times = time_rounds(workers, rounds=rounds, warmup=warmup, label=f"{files.network} {form} x{threads}")
    return {
        "network": files.network,
        "format": form,
        "threads": threads,
        "runtimes": {name: _summary(own) | found[name] for name, own in times.items()},
        "ratios": _ratios(times),
        "refused": refused,
    }


def _agreement(output: np.ndarray, expected: np.ndarray, *, form: str) -> dict:
    """Compare an output with LiteRT's float32 one; raise RefusedError for one that is no result.

    A float32 output has to be near; an int8 one only has to consist of probabilities: how far it is off is recorded.
    """
    if output.shape != expected.shape:
        raise RefusedError(f"its output has {output.size} values, expected {expected.size}")
    if not (np.isfinite(output).all() and -_SLACK <= output.min() <= output.max() <= 1 + _SLACK):
        raise RefusedError("its output is not probabilities")
    error = float(np.abs(output - expected).max() / np.abs(expected).max())
    if form == "float32" and not error <= MAX_ERROR:
        raise RefusedError(f"its output differs from LiteRT's by {error:.1e} of the largest, above {MAX_ERROR:g}")
    return {"error": error, "same_top_1": bool(output.argmax() == expected.argmax())}


def _summary(times: Sequence[float]) -> dict:
    p10, median, p90 = np.percentile(times, (10, 50, 90)).tolist()
    return {"median_ms": round(median, 4), "p10_ms": round(p10, 4), "p90_ms": round(p90, 4)}


def _ratios(times: Mapping[str, Sequence[float]]) -> dict:
    """Return, for each of ours, its ratio to the fastest of the others: quotients within a round, as percentiles."""
    others = {name: np.median(own) for name, own in times.items() if name in OTHERS}
    if not others:
        return {}
    best = min(others, key=others.get)
    ratios = {"fastest_other": best}
    for name in OURS:
        if name in times:
            p10, median, p90 = np.percentile(np.divide(times[name], times[best]), (10, 50, 90)).tolist()
            ratios[name] = {"median": round(median, 4), "p10": round(p10, 4), "p90": round(p90, 4)}
    return ratios
