"""Distribution of global batches: under every strategy, each replica gets a fixed share of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import tensorflow as tf

from scarlet_tf.data.batches import Batches

AHEAD = 2  # batches in a device's memory before the step that uses them


class MakeBatches(Protocol):
    """A function that returns the given rows of every global batch, as `ImageData.train_pixels` does."""

    def __call__(self, *, rows: slice) -> Batches: ...


def distributed_batches(strategy: tf.distribute.Strategy, make_batches: MakeBatches, *, batch_size: int) -> Iterator:
    """Return an iterator over (images, labels) for `strategy.run`.

    Replica r of n gets rows r*batch_size/n .. (r+1)*batch_size/n of every global batch, also with several workers, so
    a run sees the same data under every strategy. A worker makes only the rows of its own replicas. The next AHEAD
    batches are copied to the memory of a GPU while it computes.

    Args:
        strategy: the strategy of the run.
        make_batches: returns rows of the global batches.
        batch_size: rows of a global batch.

    Raises:
        ValueError: if `batch_size` is not a multiple of the number of replicas.
        DataError: from the iterator, for a damaged image, which it names.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(f"batch_size must be a multiple of the {replicas} replicas, got {batch_size}")
    if replicas == 1:
        batches = make_batches(rows=slice(0, batch_size))
        return batches.naming_damaged(iter(_copied_ahead(batches.dataset, *strategy.extended.worker_devices)))
    share = batch_size // replicas
    made = []

    def own_shares(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * here
        batches = make_batches(rows=slice(first * share, (first + here) * share))
        made.append(batches)

        def split(images, labels):
            parts = (here, share)
            return tf.data.Dataset.from_tensor_slices(
                (tf.reshape(images, (*parts, *images.shape[1:])), tf.reshape(labels, parts))
            )

        return batches.dataset.flat_map(split)

    ahead = tf.distribute.InputOptions(experimental_per_replica_buffer_size=AHEAD)
    shares = iter(strategy.distribute_datasets_from_function(own_shares, ahead))
    return made[0].naming_damaged(shares)


def _copied_ahead(dataset: tf.data.Dataset, device: str) -> tf.data.Dataset:
    """Return the dataset with its next elements in the device's memory, unless it is the host's, or a TPU's."""
    spec = tf.DeviceSpec.from_string(device)
    if spec.device_type == "TPU" or (spec.device_type, spec.device_index) == ("CPU", 0):
        return dataset
    return dataset.apply(tf.data.experimental.prefetch_to_device(device, buffer_size=AHEAD))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes logs and checkpoints."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs)
