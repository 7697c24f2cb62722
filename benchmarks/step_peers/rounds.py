"""Time fair steps in TensorFlow and in PyTorch, in processes of their own, in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from scarlet_tf.progress import progress

WAYS = ("scarlet-tf", "PyTorch eager", "PyTorch compiled")
_TORCH_STEP = Path(__file__).with_name("torch_step.py")


def check_torch(python: str) -> str:
    """Return the version of torch that a Python interpreter has; raise ValueError if it has none."""
    try:
        code = "import numpy, torch; print(torch.__version__)"
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(
            f"--torch_python={python} cannot import torch and numpy: expected a Python with both"
        ) from error


def time_rounds(
    python: str, *, ways: Sequence[str], threads: Sequence[int], rounds: int, network: Mapping[str, float]
) -> list[dict[str, object]]:
    """Time every way with every number of threads once a round.

    Args:
        python: interpreter that has torch.
        ways: those of WAYS to time.
        network: width, size, batch and steps of the commands.

    Returns:
        For each timing, "way", "threads" and what its command printed.

    Raises:
        ValueError: if there are fewer cores than threads, or a command fails.
    """
    cores = sorted(os.sched_getaffinity(0))
    if max(threads) > len(cores):
        raise ValueError(f"--threads={max(threads)} needs as many cores, this process may use {len(cores)}")
    timings = [(way, count) for _ in range(rounds) for count in threads for way in ways]
    results = []
    for way, count in progress(timings, "step peers", unit="timing"):
        command = _command(way, python, threads=count, network=network)
        results.append({"way": way, "threads": count} | _run(command, cores=set(cores[-count:])))
    return results


def _command(way: str, python: str, *, threads: int, network: Mapping[str, float]) -> list[str]:
    flags = [f"--{name}={value}" for name, value in network.items()] + [f"--threads={threads}"]
    if way == "scarlet-tf":
        return [sys.executable, "-m", "benchmarks.fair_step", "--rates", *flags]
    compiled = ["--compile"] if way == "PyTorch compiled" else []
    return [python, str(_TORCH_STEP), "--device=cpu", *compiled, *flags]


def _run(command: list[str], *, cores: set[int]) -> dict[str, object]:
    pin = f"import os; os.sched_setaffinity(0, {cores}); os.execvp({command[0]!r}, {command!r})"
    ended = subprocess.run([sys.executable, "-c", pin], capture_output=True, text=True)
    if ended.returncode:
        raise ValueError(f"{' '.join(command)} failed: {(ended.stderr.strip() or 'no message').splitlines()[-1]}")
    return json.loads(ended.stdout.splitlines()[-1])
