"""Targets of cost tables, which measure many small files: this machine, an emulated processor, an Android device."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol

import numpy as np

from scarlet_tf.choices import check_integer, check_known
from scarlet_tf.cli import usable_cores
from scarlet_tf.latency.adb import Adb, AndroidError
from scarlet_tf.latency.android import measure_android
from scarlet_tf.latency.android_device import GET_BINARY, binary_abi, read_facts
from scarlet_tf.latency.android_results import round_times
from scarlet_tf.latency.android_settings import AndroidSettings
from scarlet_tf.latency.emulator import CPUS, check_emulator, count_instructions, read_versions
from scarlet_tf.latency.host import ready_interpreter
from scarlet_tf.latency.journal import Journal
from scarlet_tf.latency.machine import machine
from scarlet_tf.progress import progress

TARGETS = ("host", "android", "arm64")
_BATCH = 8  # files between two lines of the journal


class Target(Protocol):
    """What a cost table is measured on.

    Attributes:
        name: one of TARGETS.
        unit: of the samples, "ms" or "instructions".
        settings: JSON values that affect the samples.
    """

    name: str
    unit: str

    @property
    def settings(self) -> dict: ...

    def describe(self) -> tuple[dict, dict[str, str]]:
        """Return what is known of the device, and the versions of its programs; raise ValueError if it is not there."""

    def measure(self, files: Mapping[str, Path], journal: Journal) -> None:
        """Add samples of every file to the journal, by name; go on from the samples that it has."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostTarget:
    """This machine.

    Every round runs each file twice, in random order, and times the second run: the first one brings its weights into
    the caches, where a network has the output of the previous layer. With one thread the time is the thread's CPU time,
    so that other processes on the machine count less: on a busy one, errors of tables were a third of those by the
    wall clock. With more threads it is the wall clock's.

    Attributes:
        threads: threads of the interpreters.
        rounds: number of samples of every file.
        seed: of inputs and order.
    """

    threads: int = 1
    rounds: int = 60
    seed: int = 0
    name = "host"
    unit = "ms"

    def __post_init__(self) -> None:
        check_integer("threads", self.threads, least=1)
        check_integer("rounds", self.rounds, least=1)

    @property
    def settings(self) -> dict:
        return {"threads": self.threads, "rounds": self.rounds, "clock": "cpu" if self.threads == 1 else "wall"}

    def describe(self) -> tuple[dict, dict[str, str]]:
        facts = machine()
        kept = ("architecture", "cpu", "cpu_flags", "cores", "system")  # not the cores in use: a resumed run has others
        return {name: facts[name] for name in kept}, {"ai-edge-litert": importlib.metadata.version("ai-edge-litert")}

    def measure(self, files: Mapping[str, Path], journal: Journal) -> None:
        names, clock = list(files), time.thread_time if self.threads == 1 else time.perf_counter
        done = min(len(journal.samples.get(name, ())) for name in names)
        interpreters = [
            ready_interpreter(files[name], threads=self.threads, seed=self.seed)
            for name in progress(names, "open", unit="file")
        ]
        with progress(label="measure", unit="round", total=self.rounds) as bar:
            bar.update(done)
            for turn in range(done, self.rounds):
                times = np.zeros(len(names))
                for column in np.random.default_rng((self.seed, turn)).permutation(len(names)):
                    interpreters[column].invoke()
                    start = clock()
                    interpreters[column].invoke()
                    times[column] = 1e3 * (clock() - start)
                journal.add({name: [ms] for name, ms in zip(names, times.tolist(), strict=True)})
                bar.update()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm64Target:
    """An emulated ARM64 processor: instructions, of which one sample is enough.

    Attributes:
        cpu: an ARM64 processor in `scarlet_tf.latency.CPUS`.
        seed: of the inputs.
    """

    cpu: str = "cortex-a76"
    seed: int = 0
    name = "arm64"
    unit = "instructions"

    def __post_init__(self) -> None:
        check_known("cpu", self.cpu, [name for name, cpu in CPUS.items() if cpu.machine == "aarch64"])

    @property
    def settings(self) -> dict:
        return {"cpu": self.cpu}

    def describe(self) -> tuple[dict, dict[str, str]]:
        check_emulator()
        return {"emulated": CPUS[self.cpu].description}, read_versions()

    def measure(self, files: Mapping[str, Path], journal: Journal) -> None:
        """See `Target`; every core that the process may use emulates a processor."""

        def count(names: list[str]) -> tuple[list[str], list[int]]:
            return names, count_instructions([files[name] for name in names], cpu=self.cpu, seed=self.seed)

        batches = _batches(list(files), journal)
        with _bar(files, batches) as bar, ThreadPoolExecutor(len(usable_cores())) as pool:
            for done in as_completed([pool.submit(count, names) for names in batches]):
                names, counts = done.result()
                journal.add({name: [count] for name, count in zip(names, counts, strict=True)})
                bar.update(len(names))


@dataclasses.dataclass(frozen=True, kw_only=True)
class AndroidTarget:
    """An Android device, see `measure_android`. A sample is the median of one run of benchmark_model.

    The files are measured in batches, in random order.

    Attributes:
        binary: LiteRT's benchmark_model, built for the device.
        benchmark: how to measure, with one thread count.
        serial: serial number of the device; may be None if only one is connected.
        adb: the adb client.
        seed: of the order.
    """

    binary: str | os.PathLike | None
    benchmark: AndroidSettings = dataclasses.field(default_factory=AndroidSettings)
    serial: str | None = None
    adb: str = "adb"
    seed: int = 0
    name = "android"
    unit = "ms"

    def __post_init__(self) -> None:
        if len(self.benchmark.threads) != 1:
            raise AndroidError(f"a table is of one thread count, got threads {list(self.benchmark.threads)}")

    @property
    def settings(self) -> dict:
        return dataclasses.asdict(self.benchmark)

    def describe(self) -> tuple[dict, dict[str, str]]:
        if self.binary is None:
            raise AndroidError(GET_BINARY)
        abi = binary_abi(Path(self.binary))
        facts = dataclasses.asdict(read_facts(Adb(program=self.adb, serial=self.serial)))
        del facts["serial"]  # identifies the device
        return facts | {"benchmark_model": abi}, {}

    def measure(self, files: Mapping[str, Path], journal: Journal) -> None:
        names = np.random.default_rng(self.seed).permutation(sorted(files)).tolist()
        batches = _batches(names, journal)
        with _bar(files, batches) as bar:
            for batch in batches:
                paths = [files[name] for name in batch]
                found = measure_android(paths, self.binary, settings=self.benchmark, serial=self.serial, adb=self.adb)
                times = [round_times(latency.rounds)[1].tolist() for latency in found.latencies]
                journal.add(dict(zip(batch, times, strict=True)))
                bar.update(len(batch))


def _batches(names: Sequence[str], journal: Journal) -> list[list[str]]:
    """Return the names without samples in batches."""
    missing = [name for name in names if name not in journal.samples]
    return [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]


def _bar(files: Mapping[str, Path], batches: Sequence[Sequence[str]]):
    """Return a progress bar over all files, of which those in no batch are done."""
    bar = progress(label="measure", unit="file", total=len(files))
    bar.update(len(files) - sum(map(len, batches)))
    return bar
