"""Workers of a tf.distribute strategy that do one task together: the chief tells, the others hear, all add up."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from scarlet_tf.runs.loop import WorkerLostError, naming_lost_workers


class Workers:
    """The processes of a MultiWorkerMirroredStrategy; one process with any other strategy, or with None.

    Every process has to call the same methods in the same order, `tell` on the chief being `hear` on the others.

    Attributes:
        count, index: how many there are, and which this one is; the chief is among them.
        lost: whether another process has ended. Nothing is asked of the others then, as no answer may ever come.

    Raises:
        WorkerLostError: from any method, where another process has ended; but from `tell`, to let all end, no more
            once that is known.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None, *, name: str = "0") -> None:
        """
        Args:
            name: of what they have in common, up to 16 hexadecimal digits; `hear` refuses a chief with another one.
        """
        self.lost = False
        self._strategy, self._name = strategy, int(name, 16) // 2  # 63 bits
        self._local = len(strategy.extended.worker_devices) if strategy else 1  # replicas in this process
        self.count = strategy.num_replicas_in_sync // self._local if strategy else 1
        self.index = 0 if self.count == 1 else _index(strategy.cluster_resolver)

    def tell(self, rows: np.ndarray) -> np.ndarray:
        """The chief's (n, k) integers, to all; returns them. None at all, n = 0, lets the others end."""
        if self.count > 1 and (len(rows) or not self.lost):
            self.add(np.array([self._name, len(rows)]))
            if len(rows):
                self.add(rows.astype(np.int64))
        return rows

    def hear(self, width: int) -> np.ndarray:
        """What the chief tells: (n, width) int64; ValueError where the chief is of another name."""
        name, n = self.add(np.zeros(2, np.int64))
        if name != self._name:
            raise ValueError("this worker has another supernet, other images or other settings than the chief")
        return self.add(np.zeros((n, width), np.int64)) if n else np.empty((0, width), np.int64)

    def meet(self) -> None:
        """Returns when all have called it: a worker that ends before is taken for lost by the others."""
        self.add(np.zeros(1, np.int64))

    def add(self, values: np.ndarray) -> np.ndarray:
        """The sum of all workers' arrays, which have one shape and type, on every one of them."""
        if self.count == 1:
            return values

        def contribution(context) -> tf.Tensor:
            first = context.replica_id_in_sync_group % self._local == 0
            return tf.constant(values if first else np.zeros_like(values))

        if self.lost:
            raise WorkerLostError("a worker was lost before: start all workers again")
        try:
            with naming_lost_workers("its last generation"):
                given = self._strategy.experimental_distribute_values_from_function(contribution)
                return self._strategy.reduce(tf.distribute.ReduceOp.SUM, given, axis=None).numpy()
        except WorkerLostError:
            self.lost = True
            raise


def _index(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> int:
    """0 for the chief, whether it is a job of its own or the first worker."""
    return resolver.task_id + (resolver.task_type == "worker" and "chief" in resolver.cluster_spec().jobs)
