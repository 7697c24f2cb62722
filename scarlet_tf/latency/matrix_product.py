"""How fast this machine multiplies and adds: a float32 matrix product in NumPy's BLAS, timed in a process of its own.

A BLAS takes its number of threads from the environment when it is loaded, so another process has to load it. That
process stays and times one product whenever it is asked, so that the yardstick drifts with what it is held against.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

_PROGRAM = Path(__file__).with_name("matrix_product_process.py")
_THREADS = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# OpenBLAS' threads go on spinning for a tenth of a second, into what is measured next; 4 is the least it takes.
_NO_SPINNING = {"OPENBLAS_THREAD_TIMEOUT": "4", "OMP_WAIT_POLICY": "PASSIVE"}


class MatrixProduct:
    """A context manager with a process, on the CPUs of this one, whose `rate` measures."""

    def __init__(self, *, threads: int) -> None:
        self._environment = os.environ | dict.fromkeys(_THREADS, str(threads)) | _NO_SPINNING

    def __enter__(self) -> MatrixProduct:
        self._process = subprocess.Popen(
            [sys.executable, str(_PROGRAM)],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def rate(self) -> float:
        """Multiply-adds a second of one product, in 10^9; ChildProcessError (an OSError) if the process died."""
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise ChildProcessError(f"the matrix product's process ended with exit code {self._process.wait()}")
        return float(answer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()
