"""The order of training images: a new permutation in every epoch, a pure function of seed and epoch."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def batches_of_numbers(
    members: np.ndarray, *, seed: int, first_step: int, batch_size: int, rows: slice
) -> tf.data.Dataset:
    """Return endless (numbers of images, step): for every batch from `first_step` on, those of some of its rows.

    Nothing is read before the first batch, so that a run may begin anywhere.

    Args:
        members: numbers of the training images, int (N,).
        seed: of the permutations.
        first_step: number of the first batch.
        batch_size: images of a batch; an epoch is N // batch_size of them.
        rows: the rows of a batch to return.

    Returns:
        Elements are int32 (number of rows,) and int64 ().
    """
    steps = len(members) // batch_size
    members = tf.constant(members.astype(np.int32))
    first_epoch, done = divmod(first_step, steps)

    def permuted(epoch):
        order = tf.random.experimental.stateless_shuffle(members, tf.stack([seed, epoch]), alg="philox")
        numbers = tf.reshape(order[: steps * batch_size], (steps, batch_size))[:, rows]
        begin = tf.where(epoch == first_epoch, tf.constant(done, tf.int64), 0)
        return tf.data.Dataset.from_tensor_slices((numbers[begin:], epoch * steps + tf.range(begin, steps)))

    return tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).flat_map(permuted)
