"""Times of a network in several runtimes, interleaved, each runtime in a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.runtimes.runtime import Case
from scarlet_tf.progress import progress

_ROOT = Path(__file__).parents[2]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class RefusedError(ValueError):
    """Error for a case that a runtime cannot run; the message is one line."""


class Worker:
    """A context manager that starts a process in which a runtime has loaded a network.

    The process is stopped (SIGSTOP) between its turns, so that threads which wait in a loop take no time from others.

    Attributes:
        output: the network's probabilities.

    Raises:
        RefusedError: on entering, if the runtime cannot run the case.
    """

    def __init__(self, runtime: str, case: Case, *, image: str, cores: Sequence[int]) -> None:
        self._task = {"runtime": runtime, "case": dataclasses.asdict(case), "image": image, "cores": list(cores)}

    def __enter__(self) -> Worker:
        threads = dict.fromkeys(_THREADS, str(len(self._task["cores"])))
        self._messages = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.runtimes.worker"],
            cwd=_ROOT,
            env=os.environ | threads,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
        )
        try:
            answer = json.loads(self._ask(json.dumps(self._task)))
            if "refused" in answer:
                raise RefusedError(" ".join(answer["refused"].split())[:200])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.output = np.array(answer["output"])
        self._process.send_signal(signal.SIGSTOP)
        return self

    def time(self) -> float:
        """Run the network once, and return the milliseconds. Raise RefusedError if the process died."""
        self._process.send_signal(signal.SIGCONT)
        milliseconds = float(self._ask(""))
        self._process.send_signal(signal.SIGSTOP)
        return milliseconds

    def _ask(self, line: str) -> str:
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            code = self._process.wait()
            self._messages.seek(0)
            last = self._messages.read().decode(errors="replace").split()[-20:]
            raise RefusedError(f"its process ended with exit code {code}: {' '.join(last)}")
        return answer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._messages):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def time_rounds(workers: Mapping[str, Worker], *, rounds: int, warmup: int, label: str) -> dict[str, list[float]]:
    """Return the milliseconds of each worker in each round; all workers run once a round, in turn."""
    times = {name: [] for name in workers}
    for _ in progress(range(warmup + rounds), label, unit="round"):
        for name, worker in workers.items():
            times[name].append(worker.time())
    return {name: own[warmup:] for name, own in times.items()}
