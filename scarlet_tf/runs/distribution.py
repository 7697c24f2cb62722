"""Distribution of global batches: under every strategy, each replica gets a fixed share of every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import tensorflow as tf

from scarlet_tf.data.dataset import Batches


def distributed_batches(
    strategy: tf.distribute.Strategy, make_batches: Callable[[], Batches], *, batch_size: int
) -> Iterator:
    """Return an iterator over (images, labels) for `strategy.run`.

    Replica r of n gets rows r*batch_size/n .. (r+1)*batch_size/n of every global batch, also with several workers, so
    a run sees the same data under every strategy.

    Args:
        strategy: the strategy of the run.
        make_batches: returns the global batches of `batch_size` rows.

    Raises:
        ValueError: if `batch_size` is not a multiple of the number of replicas.
        DataError: from the iterator, for a damaged image, which it names.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(f"batch_size must be a multiple of the {replicas} replicas, got {batch_size}")
    batches = make_batches()
    if replicas == 1:
        return iter(batches)
    share = batch_size // replicas

    def own_shares(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * here

        def split(images, labels):
            rows = slice(first * share, (first + here) * share)
            parts = (here, share)
            return tf.data.Dataset.from_tensor_slices(
                (
                    tf.reshape(images[rows], (*parts, *images.shape[1:])),
                    tf.reshape(labels[rows], parts),
                )
            )

        return batches.dataset.flat_map(split)

    return batches.naming_damaged(iter(strategy.distribute_datasets_from_function(own_shares)))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes logs and checkpoints."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs)
