"""The times of the peers' files, and their ratios, as JSON values."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Sequence

import numpy as np

from benchmarks.machine import provenance
from benchmarks.tflite_peers.peer_files import IMAGES, SCARLET, NetworkFile
from scarlet_tf.latency import HostLatency, measure_host

FORMAT = "scarlet_tf.tflite_peers"
VERSION = 1
_VERSIONS = ("ai-edge-litert", "tensorflow", "keras", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """A file and its latency."""

    file: NetworkFile
    latency: HostLatency

    @property
    def kind(self) -> tuple[str, str, bool]:
        return self.file.network, self.file.format, self.file.rewritten


def measure_files(files: Sequence[NetworkFile], *, threads: int, rounds: int, warmup: int, seed: int) -> list[Measured]:
    """Run every file once per round, in turn; see `scarlet_tf.latency.measure_host`."""
    paths = [file.path for file in files]
    latencies = measure_host(paths, threads=threads, runs=rounds, warmup=warmup, seed=seed)
    return [Measured(file=file, latency=latency) for file, latency in zip(files, latencies, strict=True)]


def make_result(measured: Sequence[Measured], *, command: str, seed: int, warmup: int) -> dict:
    """Return the measurements as a dictionary for JSON.

    Args:
        command: the command that ran the benchmark.

    Returns:
        format, version, command, date, seed, warmup, calibration_images, machine, versions, "files" (one object per
        file), and "ratios" (one object per pair of files, see `_ratios`).
    """
    first, about = measured[0].latency, provenance(command, packages=_VERSIONS)
    return {
        "format": FORMAT,
        "version": VERSION,
        **about,
        "versions": about["versions"] | {"python": platform.python_version()},
        "seed": seed,
        "rounds": first.runs,
        "warmup": warmup,
        "threads": first.threads,
        "calibration_images": IMAGES,
        "sgemm_gmadds": round(first.sgemm_gmadds, 3),
        "files": [_row(one) for one in measured],
        "ratios": _ratios(measured),
    }


def _row(one: Measured) -> dict:
    content, latency = one.file.path.read_bytes(), one.latency
    return {
        "network": one.file.network,
        "format": one.file.format,
        "rewritten": one.file.rewritten,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "madds": latency.madds,
        "partitions": latency.partitions,
        "median_ms": round(latency.median_ms, 4),
        "p10_ms": round(latency.p10_ms, 4),
        "p90_ms": round(latency.p90_ms, 4),
        "utilisation": round(latency.utilisation, 4),
    }


def _ratios(measured: Sequence[Measured]) -> list[dict]:
    """Return ratios of times: the median, 10th and 90th percentile of quotients within a round.

    They compare every rewritten file with its plain one; every rewritten SCARLET file with every other network's files
    of the same format, plain and rewritten; and every rewritten file of another format with the rewritten float32 one.
    """
    known = {one.kind: one for one in measured}
    pairs = []
    for network, form, rewritten in known:
        if not rewritten:
            continue
        others = {name for name, *_ in known if name not in SCARLET} if network in SCARLET else ()
        compared = [(network, form, False), (network, "float32", True)]
        compared += [(other, form, kind) for other in sorted(others) for kind in (False, True)]
        own = network, form, rewritten
        pairs += [(known[own], known[other]) for other in compared if other in known and other != own]
    return [_ratio(*pair) for pair in pairs]


def _ratio(numerator: Measured, denominator: Measured) -> dict:
    quotients = np.array(numerator.latency.round_ms) / np.array(denominator.latency.round_ms)
    p10, median, p90 = np.percentile(quotients, (10, 50, 90))
    return {
        "numerator": _name(numerator),
        "denominator": _name(denominator),
        "median": round(float(median), 4),
        "p10": round(float(p10), 4),
        "p90": round(float(p90), 4),
    }


def _name(one: Measured) -> list:
    """Return [network, format, "plain" or "rewritten"]."""
    return [one.file.network, one.file.format, "rewritten" if one.file.rewritten else "plain"]
