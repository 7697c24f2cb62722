"""Program that loads one network in one runtime, and runs it once on request: the process behind `Worker`.

    python -m benchmarks.runtimes.worker

It reads a line {"runtime": name, "case": {...}, "image": path, "cores": [...]}, and answers {"output": [...]} or
{"refused": reason}, then each further line with the milliseconds of one run. A process of its own for each runtime
keeps their thread pools and their copies of OpenMP apart.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time

import numpy as np

from benchmarks.runtimes.runtime import Case
from benchmarks.runtimes.runtime_names import RUNTIMES

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG in Linux's prctl.h


def main() -> None:
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)  # a stopped process would outlive the benchmark
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what runtimes print is no answer
    task = json.loads(sys.stdin.readline())
    os.sched_setaffinity(0, task["cores"])
    try:
        run = RUNTIMES[task["runtime"]].load(Case(**task["case"]), np.load(task["image"]))
        output = np.asarray(run(), np.float64).ravel()
    except Exception as error:  # whatever a runtime raises is why it has no figure
        print(json.dumps({"refused": f"{type(error).__name__}: {error}"}), file=answers)
        return
    print(json.dumps({"output": output.tolist()}), file=answers)
    for _ in sys.stdin:
        run()  # not timed: the caches still hold another runtime's data
        start = time.perf_counter()
        run()
        print(1e3 * (time.perf_counter() - start), file=answers)


if __name__ == "__main__":
    main()
