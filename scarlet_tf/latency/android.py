"""Latency of .tflite files on an Android device: LiteRT's benchmark_model over adb, with the files interleaved."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from scarlet_tf.latency.adb import Adb, AndroidError, DeviceTimeout, ShellResult
from scarlet_tf.latency.android_device import (
    GET_BINARY,
    DeviceFacts,
    binary_abi,
    device_folder,
    read_facts,
    read_thermal,
    run_in_folder,
)
from scarlet_tf.latency.android_results import AndroidBenchmark, AndroidLatency, find_warnings, summarise
from scarlet_tf.latency.android_settings import AndroidSettings
from scarlet_tf.latency.benchmark_output import (
    BenchmarkRun,
    explain_failure,
    parse_op_profile,
    parse_run,
    refused_delegate,
)
from scarlet_tf.paths import no_such
from scarlet_tf.progress import progress


def measure_android(
    paths: Sequence[str | os.PathLike],
    binary: str | os.PathLike | None,
    *,
    settings: AndroidSettings,
    serial: str | None = None,
    adb: str = "adb",
) -> AndroidBenchmark:
    """Measure the latency of .tflite files on an Android device.

    Each round runs every model once with every thread count, in an order that rotates from round to round. Before the
    rounds, each combination runs once untimed: to read memory and op profile, which slow a run down, and to find models
    that cannot run. Everything copied to the device is removed, even after an error or Ctrl-C.

    Args:
        paths: .tflite files; ratios are relative to the first.
        binary: LiteRT's `benchmark_model`, built for the device.
        settings: how to measure.
        serial: serial number of the device; may be None if only one is connected.
        adb: the adb client, a name on PATH or a path.

    Raises:
        AndroidError: if the device cannot measure, see `Adb` and `benchmark_output`, or did not use the delegate.
        FileNotFoundError: if a model is missing.
    """
    if not paths:
        raise AndroidError("no .tflite files to measure")
    if binary is None:
        raise AndroidError(GET_BINARY)
    models = [_identify_model(Path(path)) for path in paths]
    abi, tool = binary_abi(Path(binary)), _identify(Path(binary))
    device = Adb(program=adb, serial=serial)
    facts = read_facts(device)
    _check(facts, settings, binary, abi)
    pairs = [(model, threads) for model in range(len(models)) for threads in settings.threads]
    turns = [pairs[turn % len(pairs) :] + pairs[: turn % len(pairs)] for turn in range(settings.rounds)]
    warnings = []
    with (
        progress(label="measure", unit="run", total=len(pairs) * (settings.rounds + 1)) as bar,
        device_folder(device, warnings) as folder,
    ):
        session = _Session(device=device, folder=folder, settings=settings, paths=paths, bar=bar)
        session.copy(Path(binary))
        before = read_thermal(device)
        inspected = {pair: session.inspect(*pair) for pair in pairs}
        rounds = {pair: [] for pair in pairs}
        for pair in itertools.chain(*turns):
            rounds[pair].append(session.run(*pair)[1])
        after = read_thermal(device)
    latencies = tuple(
        AndroidLatency(
            **models[model],
            threads=threads,
            **summarise(rounds[model, threads], rounds[0, threads]),
            **inspected[model, threads],
            device_command=settings.command(_name(model), threads),
        )
        for model, threads in pairs
    )
    return AndroidBenchmark(
        settings=settings,
        binary=tool | {"abi": abi},
        device=facts,
        thermal_before=before,
        thermal_after=after,
        warnings=(*find_warnings(latencies, before, after, settings), *warnings),
        latencies=latencies,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Session:
    """A folder on the device, and the runs in it."""

    device: Adb
    folder: str
    settings: AndroidSettings
    paths: Sequence[str | os.PathLike]
    bar: tqdm

    def copy(self, binary: Path) -> None:
        self.device.push(binary, f"{self.folder}/benchmark_model")
        self.device.shell(f"chmod 755 {self.folder}/benchmark_model")
        for model, path in enumerate(self.paths):
            self.device.push(Path(path), f"{self.folder}/{_name(model)}")

    def inspect(self, model: int, threads: int) -> dict:
        """Return the fields of AndroidLatency that come from an untimed run."""
        output, run = self.run(model, threads, inspect=True)
        profile = parse_op_profile(output) if self.settings.op_profile else None
        return {"memory_mb": run.memory_mb, "op_profile": profile}

    def run(self, model: int, threads: int, *, inspect: bool = False) -> tuple[str, BenchmarkRun]:
        """Run the binary once, then pause. Return its output and the numbers in it."""
        command = self.settings.command(_name(model), threads, inspect=inspect)
        try:
            result = run_in_folder(self.device, self.folder, command, seconds=self.settings.timeout)
            times = _read(result, self.settings)
        except DeviceTimeout:
            raise AndroidError(
                f"{self.paths[model]}: benchmark_model ran for more than {self.settings.timeout:g} s and was killed"
            ) from None
        except AndroidError as error:
            raise AndroidError(f"{self.paths[model]}: {error}") from error
        self.bar.update()
        if self.bar.n < self.bar.total:
            time.sleep(self.settings.cooldown)
        return result.output, times


def _read(result: ShellResult, settings: AndroidSettings) -> BenchmarkRun:
    if result.exit_code:
        raise AndroidError(explain_failure(result.output, result.exit_code))
    times = parse_run(result.output)
    if settings.delegate and (refused := refused_delegate(result.output, settings.delegate)):
        raise AndroidError(refused)
    return times


def _check(facts: DeviceFacts, settings: AndroidSettings, binary: str | os.PathLike, abi: str) -> None:
    if facts.abis and abi not in facts.abis:
        raise AndroidError(
            f"{binary} is built for {abi}, but device {facts.serial} supports {', '.join(facts.abis)}: {GET_BINARY}"
        )
    if facts.cpus and not all(f"cpu{cpu}" in facts.cpus for cpu in settings.cpus):
        raise AndroidError(
            f"cpu_mask {settings.cpu_mask!r} names CPUs {sorted(settings.cpus)}, but the device has "
            f"{', '.join(facts.cpus)}"
        )


def _name(model: int) -> str:
    """Return the name of the model's file on the device."""
    return f"model{model}.tflite"


def _identify(path: Path) -> dict[str, str | int]:
    if not path.is_file():
        raise FileNotFoundError(no_such(path))
    content = path.read_bytes()
    return {"path": os.fspath(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _identify_model(path: Path) -> dict[str, str | int]:
    record = _identify(path)
    with open(path, "rb") as file:
        if file.read(8)[4:] != b"TFL3":  # the schema's file identifier
            raise AndroidError(f"{path} is not a .tflite file")
    return record
