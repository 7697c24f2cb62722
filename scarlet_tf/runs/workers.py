"""Communication between the workers of a tf.distribute strategy: broadcasts from the chief, sums and barriers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from scarlet_tf.runs.checkpoints import CheckpointError
from scarlet_tf.runs.cluster import WorkerLostError, await_verdict, telling_others

# Errors that the remaining workers get after another one has ended.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


@contextlib.contextmanager
def naming_lost_workers(resumed_from: str) -> Iterator[None]:
    """Turn the errors that TensorFlow raises after another worker has ended into a WorkerLostError.

    Where the worker's connection was closed, `Cluster` ends this process first. The others hear of any exception.

    Args:
        resumed_from: what the run resumes from, for the message.
    """
    with telling_others():
        try:
            yield
        except _LOST as error:
            await_verdict()
            raise WorkerLostError(
                f"a worker was lost ({type(error).__name__}): restart all workers to resume from {resumed_from}"
            ) from error


class Workers:
    """The processes of a MultiWorkerMirroredStrategy; a single process with any other strategy, or with None.

    All processes must call the same methods in the same order; `broadcast` on the chief goes with `receive` elsewhere.

    Attributes:
        count: number of processes, including the chief.
        index: number of this process; 0 is the chief.
        lost: whether another process has ended. The others are then no longer contacted, as they may never answer.

    Raises:
        WorkerLostError: from any method, if another process has ended. Once that is known, `broadcast` without rows no
            longer raises it.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None, *, fingerprint: str = "0") -> None:
        """Determine the number of processes and the index of this one.

        Args:
            strategy: the strategy of the run.
            fingerprint: of what all must have in common, up to 16 hexadecimal digits; `receive` checks the chief's.
        """
        self.lost = False
        self._strategy, self._fingerprint = strategy, int(fingerprint, 16) // 2  # 63 bits
        self._local = len(strategy.extended.worker_devices) if strategy else 1  # replicas in this process
        self.count = strategy.num_replicas_in_sync // self._local if strategy else 1
        self.index = 0 if self.count == 1 else _index(strategy.cluster_resolver)

    def broadcast(self, rows: np.ndarray) -> np.ndarray:
        """Broadcast (n, k) integers from the chief and return them; with n = 0 the others end."""
        if self.count > 1 and (len(rows) or not self.lost):
            self.add(np.array([self._fingerprint, len(rows)]))
            if len(rows):
                self.add(rows.astype(np.int64))
        return rows

    def receive(self, width: int) -> np.ndarray:
        """Receive (n, width) int64 from the chief; raise ValueError if the chief has another `fingerprint`."""
        fingerprint, n = self.add(np.zeros(2, np.int64))
        if fingerprint != self._fingerprint:
            raise ValueError("the supernet, images and settings of this worker must be the chief's, got different ones")
        return self.add(np.zeros((n, width), np.int64)) if n else np.empty((0, width), np.int64)

    def barrier(self) -> None:
        """Wait until all have called this; the others count a worker that ends before as lost."""
        self.add(np.zeros(1, np.int64))

    def any(self, flag: bool) -> bool:
        """Return whether any worker passed True, on every worker."""
        return bool(self.add(np.array([flag], np.int64))[0])

    def add(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of all workers' arrays, of equal shape and dtype, on every worker."""
        if self.count == 1:
            return values

        def contribution(context) -> tf.Tensor:
            first = context.replica_id_in_sync_group % self._local == 0
            return tf.constant(values if first else np.zeros_like(values))

        if self.lost:
            raise WorkerLostError("a worker was lost earlier: restart all workers")
        try:
            with naming_lost_workers("its last generation"):
                given = self._strategy.experimental_distribute_values_from_function(contribution)
                return self._strategy.reduce(tf.distribute.ReduceOp.SUM, given, axis=None).numpy()
        except BaseException:  # also Ctrl-C: the others are in another sum now
            self.lost = True
            raise


def _index(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> int:
    """Return this worker's index: 0 for the chief, whether it is a separate job or the first worker."""
    return resolver.task_id + (resolver.task_type == "worker" and "chief" in resolver.cluster_spec().jobs)


def check_same_start(strategy: tf.distribute.Strategy, start: int) -> None:
    """Raise CheckpointError if the workers start from different steps: their weights would silently diverge."""
    workers = Workers(strategy)
    starts = np.zeros(workers.count, np.int64)
    starts[workers.index] = start
    starts = workers.add(starts)
    if np.ptp(starts):
        raise CheckpointError(
            f"the workers would resume from different steps, {', '.join(map(str, starts))}: give all the same run "
            "directory"
        )
