"""How an Android device measures: what may be chosen, and the command line of benchmark_model that says so."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from scarlet_tf.choices import require_known
from scarlet_tf.latency.adb import AndroidError

DELEGATES = ("xnnpack", "gpu", "nnapi")


def parse_threads(words: Sequence[str]) -> tuple[int, ...]:
    """Thread counts from words such as "4"."""
    for word in words:
        if not word.strip().isdecimal():
            raise AndroidError(f"threads must be whole numbers separated by commas, such as 1,4; got {word!r}")
    return tuple(int(word) for word in words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AndroidSettings:
    """How to measure.

    Attributes:
        threads: thread counts, each of which every model runs with.
        cpu_mask: hexadecimal, one bit a CPU, as `taskset` takes it; None leaves the choice to the scheduler.
        delegate: one of DELEGATES; None leaves it to the binary, which is XNNPACK in newer builds.
        runs: least number of inferences of one run of the binary, which also go on for at least `min_seconds`.
        warmup: the same for the inferences before them, for half of `min_seconds`: a CPU needs time to clock up.
        rounds: how often every model runs with every thread count.
        cooldown: seconds between two runs of the binary.
        timeout: seconds that one run of the binary may take.
        op_profile: whether to keep times by operation.
    """

    threads: tuple[int, ...] = (1,)
    cpu_mask: str | None = None
    delegate: str | None = None
    runs: int = 50
    warmup: int = 5
    rounds: int = 5
    cooldown: float = 2.0
    min_seconds: float = 1.0
    timeout: float = 300.0
    op_profile: bool = False

    def __post_init__(self) -> None:
        if not self.threads:
            raise AndroidError("no thread count to measure with")
        least = {"runs": 1, "warmup": 0, "rounds": 1, "cooldown": 0, "min_seconds": 0, "timeout": 1}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise AndroidError(f"{name} must be >= {bound}, got {getattr(self, name)}")
        for count in self.threads:
            if count < 1 or self.threads.count(count) > 1:
                raise AndroidError(f"threads must be different numbers >= 1, got {count} in {list(self.threads)}")
        if self.delegate is not None:
            require_known("delegate", self.delegate, DELEGATES, error=AndroidError)
        if self.cpu_mask is not None and not (
            re.fullmatch(r"(0x)?[0-9a-fA-F]{1,16}", self.cpu_mask) and int(self.cpu_mask, 16)
        ):
            raise AndroidError(f"cpu_mask must be hexadecimal and not 0, such as f0 for CPUs 4 to 7: {self.cpu_mask!r}")

    @property
    def cpus(self) -> frozenset[int]:
        """The numbers of the CPUs in the mask; empty without a mask."""
        mask = int(self.cpu_mask or "0", 16)
        return frozenset(bit for bit in range(mask.bit_length()) if mask >> bit & 1)

    def command(self, model: str, threads: int, *, inspect: bool = False) -> str:
        """What runs in the device's folder, in words of `sh` without quotes.

        Args:
            model: the file's name there.
            inspect: whether to ask for the peak memory and the op profile, which both slow the inferences down.

        The binaries go on without the flags that they do not know: LiteRT's calls its profiler `use_profiler`.
        """
        flags = {
            "graph": model,
            "num_threads": threads,
            "num_runs": self.runs,
            "warmup_runs": self.warmup,
            "min_secs": f"{self.min_seconds:g}",
            "warmup_min_secs": f"{self.min_seconds / 2:g}",
            "max_secs": f"{self.timeout:g}",
        }
        if self.delegate is not None:
            flags[f"use_{self.delegate}"] = "true"
        if inspect:
            flags["report_peak_memory_footprint"] = "true"
        if inspect and self.op_profile:
            flags |= {"enable_op_profiling": "true", "use_profiler": "true"}
        pinned = f"taskset {self.cpu_mask.lower().removeprefix('0x')} " if self.cpu_mask else ""
        return " ".join([f"{pinned}./benchmark_model", *(f"--{name}={value}" for name, value in flags.items())])
