"""Measuring what forms of operators cost on a target: this machine, an emulated processor, or an Android device."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scarlet_tf.choices import check_known
from scarlet_tf.formats import ANDROID, HOST
from scarlet_tf.latency.amx import AMX, time_without_amx
from scarlet_tf.latency.android import measure_android
from scarlet_tf.latency.android_settings import AndroidSettings
from scarlet_tf.latency.emulator import CPUS, check_emulator, count_instructions
from scarlet_tf.paths import as_path, no_such
from scarlet_tf.tflite.choose import find_candidates
from scarlet_tf.tflite.cost_targets import SHIPPED
from scarlet_tf.tflite.costs import (
    FormCosts,
    FormCostsError,
    cached_path,
    load_table,
    read_table,
    runtime_version,
    write_table,
)
from scarlet_tf.tflite.costs.measure import Measure, cpu_name, empty_table, measure_costs, time_on_host
from scarlet_tf.tflite.forms.signature import Signature
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.probe import probe

TARGETS = (*SHIPPED, HOST, ANDROID)
_NEEDS = {"x86-vnni": ("AVX-512 VNNI", "avx512_vnni"), "x86-amx": ("AMX", AMX)}  # name, and the processor's flag
_ANDROID = AndroidSettings(runs=20, min_seconds=0.2, rounds=3, cooldown=0.2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """The Android device to measure on: LiteRT's benchmark_model for it, its serial number, and the adb client."""

    binary: str | os.PathLike | None = None
    serial: str | None = None
    adb: str = "adb"


def measure_forms(
    target: str,
    *,
    models: Sequence[str | os.PathLike] = (),
    output: str | os.PathLike | None = None,
    device: Device | None = None,
) -> tuple[FormCosts, Path]:
    """Measure the operators of models in each of their forms, and add them to a cost table.

    Operators that the table has from the installed version of LiteRT are not measured again, so an interrupted
    measurement resumes. A table of another version is made anew.

    Args:
        target: one of `TARGETS`.
        models: .tflite files, as a converter wrote them; none for the operators of all tables that the package has.
        output: the table's file; None for the one in the user's cache, which `optimize` reads.
        device: for the target "android".

    Returns:
        The table, and its file.

    Raises:
        ValueError: for an unknown target, or an x86 target whose extension this machine lacks.
        EmulatorError, AndroidError, TFLiteFileError, FormCostsError, OSError: for what is missing or damaged.

    Example:
        >>> table, path = measure_forms("host", models=["plain.tflite"])  # doctest: +SKIP
    """
    check_known("target", target, TARGETS)
    measure = _measure(target, device or Device())
    path = cached_path(target, runtime=runtime_version()) if output is None else as_path(output)
    table = read_table(path) if path.is_file() else empty_table(target)
    if table.target != target:
        raise FormCostsError(f"{path}: has costs on {table.target}, expected a table of {target}, or a new file")
    if table.runtime != runtime_version():
        table = empty_table(target)
    signatures = _operators_of(models) if models else _operators_known()
    return measure_costs(signatures, measure, table=table, save=lambda table: write_table(table, path)), path


def _measure(target: str, device: Device) -> Measure:
    if target in CPUS:
        check_emulator()
        return lambda files: count_instructions(files, cpu=target)
    if target == ANDROID:
        return lambda files: _time_on_android(files, device)
    found = cpu_name().split()
    if target in _NEEDS and _NEEDS[target][1] not in found:
        raise ValueError(f"target {target!r} needs a machine with {_NEEDS[target][0]}, this is {cpu_name()}")
    return time_without_amx if target == "x86-vnni" and AMX in found else time_on_host


def _time_on_android(files: Sequence[bytes], device: Device) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.tflite" for number in range(len(files))]
        for path, content in zip(paths, files, strict=True):
            path.write_bytes(content)
        result = measure_android(paths, device.binary, settings=_ANDROID, serial=device.serial, adb=device.adb)
    return [latency.median_ms for latency in result.latencies]


def _operators_of(models: Sequence[str | os.PathLike]) -> list[Signature]:
    signatures = []
    for model in models:
        path = Path(model)
        if not path.is_file():
            raise FileNotFoundError(no_such(path))
        content = path.read_bytes()
        probe(content, label=str(path))
        signatures += [candidate.signature for candidate in find_candidates(Graph(content))]
    return signatures


def _operators_known() -> list[Signature]:
    tables = [load_table(target) for target in SHIPPED]
    return [Signature.parse(text) for table in tables for text in table.costs]
