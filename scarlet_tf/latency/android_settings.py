"""Settings of a measurement on an Android device, and the command line of benchmark_model that applies them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from scarlet_tf.choices import check_known
from scarlet_tf.latency.adb import AndroidError

DELEGATES = ("xnnpack", "gpu", "nnapi")


def parse_threads(words: Sequence[str]) -> tuple[int, ...]:
    """Parse thread counts such as "4". Raise AndroidError for anything but whole numbers."""
    for word in words:
        if not word.strip().isdecimal():
            raise AndroidError(f"threads must be integers separated by commas, such as 1,4, got {word!r}")
    return tuple(int(word) for word in words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AndroidSettings:
    """Settings of `measure_android`.

    Attributes:
        threads: thread counts; every model runs with each of them.
        cpu_mask: hexadecimal, one bit per CPU, as `taskset` takes it; None leaves the choice to the scheduler.
        delegate: one of DELEGATES; None leaves the choice to the binary: XNNPACK in newer builds.
        runs: minimum number of inferences of one run of the binary, which last for at least `min_seconds`.
        warmup: minimum number of warm-up inferences, for half of `min_seconds`: a CPU needs time to clock up.
        rounds: how often every model runs with every thread count.
        cooldown: seconds between two runs of the binary.
        timeout: seconds that one run of the binary may take.
        op_profile: whether to record times by operation.

    Raises:
        AndroidError: for a setting out of range.

    Example:
        >>> sorted(AndroidSettings(threads=(1, 4), cpu_mask="f0").cpus)
        [4, 5, 6, 7]
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
            raise AndroidError("threads must have at least one thread count, got none")
        least = {"runs": 1, "warmup": 0, "rounds": 1, "cooldown": 0, "min_seconds": 0, "timeout": 1}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise AndroidError(f"{name} must be >= {bound}, got {getattr(self, name)}")
        for count in self.threads:
            if count < 1 or self.threads.count(count) > 1:
                raise AndroidError(f"threads must be distinct integers >= 1, got {count} in {list(self.threads)}")
        if self.delegate is not None:
            check_known("delegate", self.delegate, DELEGATES, error=AndroidError)
        if self.cpu_mask is not None and not (
            re.fullmatch(r"(0x)?[0-9a-fA-F]{1,16}", self.cpu_mask) and int(self.cpu_mask, 16)
        ):
            raise AndroidError(
                f"cpu_mask must be hexadecimal and not 0, such as f0 for CPUs 4 to 7, got {self.cpu_mask!r}"
            )

    @property
    def cpus(self) -> frozenset[int]:
        """The numbers of the CPUs in the mask; empty without a mask."""
        mask = int(self.cpu_mask or "0", 16)
        return frozenset(bit for bit in range(mask.bit_length()) if mask >> bit & 1)

    def command(self, model: str, threads: int, *, inspect: bool = False) -> str:
        """Return the command to run in the device's folder; none of its words needs quotes in `sh`.

        Args:
            model: the file's name in that folder.
            inspect: whether to request peak memory and op profile, both of which slow inference down.

        Binaries ignore flags that they do not know: LiteRT's profiler is `use_profiler`.
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
