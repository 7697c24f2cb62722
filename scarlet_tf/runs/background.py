"""Writing in the background, so that a training step does not wait for it: snapshots, and one write at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import tensorflow as tf


def snapshot(variable) -> np.ndarray:
    """Return the value that a TensorFlow or Keras variable has now, read-only.

    On a CPU nothing is copied: a tensor is immutable, and later assignments to the variable make another one.
    """
    own = variable if isinstance(variable, tf.Variable) else variable.value
    if isinstance(own, tf.distribute.DistributedValues):
        return np.asarray(own.value())
    # A tenth of the time of `variable.numpy()`: a network has a thousand variables, and a step waits for all of them.
    return np.asarray(tf.raw_ops.ReadVariableOp(resource=own.handle, dtype=own.dtype))


class BackgroundWriter:
    """Context manager that calls functions on a thread of its own, one after the other, at most one at a time.

    The exception of a function is raised by the next `submit` or `wait`, or at the end of the block. The block waits
    for the last function however it ends; if it ends by an exception of its own, that one is raised.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._running: Future | None = None

    def submit(self, write: Callable[[], object]) -> None:
        """Wait for the function before, then start `write` and return."""
        self.wait()
        self._running = self._pool.submit(write)

    def wait(self) -> None:
        """Wait for the function that runs, if any."""
        running, self._running = self._running, None
        if running:
            running.result()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(self, kind, *_) -> None:
        with self._pool, contextlib.suppress(Exception) if kind else contextlib.nullcontext():
            self.wait()
