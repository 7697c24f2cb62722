"""Distribution of global batches: under every strategy, each replica gets a fixed share of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import tensorflow as tf

from scarlet_tf.data.batches import Batches


class MakeBatches(Protocol):
    """A function that returns the given rows of every global batch, as `ImageData.train_batches` does."""

    def __call__(self, *, rows: slice) -> Batches: ...


def distributed_batches(strategy: tf.distribute.Strategy, make_batches: MakeBatches, *, batch_size: int) -> Iterator:
    """Return an iterator over (images, labels) for `strategy.run`.

    Replica r of n gets rows r*batch_size/n .. (r+1)*batch_size/n of every global batch, also with several workers, so
    a run sees the same data under every strategy. A worker makes only the rows of its own replicas.

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
        return iter(make_batches(rows=slice(0, batch_size)))
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

    shares = iter(strategy.distribute_datasets_from_function(own_shares))
    return made[0].naming_damaged(shares)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes logs and checkpoints."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs)
