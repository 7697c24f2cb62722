"""The machine's rate of multiply-adds: a float32 matrix product in NumPy's BLAS, timed in a separate process.

BLAS reads its number of threads from the environment when it is loaded, so another process has to load it. That process
stays alive and times one product on request, so that the reference drifts with the times it is compared with.
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
# OpenBLAS threads keep spinning for a tenth of a second, into the next measurement; 4 is the lowest timeout it accepts.
_NO_SPINNING = {"OPENBLAS_THREAD_TIMEOUT": "4", "OMP_WAIT_POLICY": "PASSIVE"}


class MatrixProduct:
    """A context manager that starts the process, on the CPUs of this one; `rate` measures."""

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
        """Time one product, in 10^9 multiply-adds per second. Raise ChildProcessError (OSError) if the process died."""
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
