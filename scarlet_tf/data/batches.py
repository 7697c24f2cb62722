"""Batches of images that can be iterated over again, and whose errors name damaged images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import tensorflow as tf

from scarlet_tf.cli import usable_cores
from scarlet_tf.data.data_config import DataError

FindDamaged = Callable[[int, int], DataError | None]


class Batches:
    """Batches of images, which can be iterated over any number of times, like a tf.data.Dataset.

    A damaged image ends the iteration with a DataError that names it.

    Attributes:
        dataset: the wrapped tf.data.Dataset. Its own iterators raise TensorFlow's errors, which name no file.
    """

    def __init__(self, dataset: tf.data.Dataset, *, find_damaged: FindDamaged, batch_size: int | None = None) -> None:
        """Wrap a dataset.

        Args:
            dataset: the tf.data.Dataset to wrap.
            find_damaged: called with (first, count), returns the error for the first damaged image among `count` images
                from number `first` on, or None if all decode.
            batch_size: images per batch; None: the dataset yields single images.
        """
        self.dataset = dataset
        self._find_damaged = find_damaged
        self._batch_size = batch_size

    def __iter__(self) -> Iterator:
        return self.naming_damaged(iter(self.dataset))

    def take(self, count: int) -> Batches:
        """Return the first `count` batches."""
        return Batches(self.dataset.take(count), find_damaged=self._find_damaged, batch_size=self._batch_size)

    def map(self, function: Callable) -> Batches:
        """Return the batches that `function` makes of these, of as many images."""
        mapped = self.dataset.map(function, num_parallel_calls=2, deterministic=True).prefetch(4)
        return Batches(mapped, find_damaged=self._find_damaged, batch_size=self._batch_size)

    def as_numpy_iterator(self) -> Iterator:
        """Iterate over the batches as NumPy arrays."""
        return self.naming_damaged(self.dataset.as_numpy_iterator())

    def naming_damaged(self, iterator: Iterator) -> Iterator:
        """Iterate over `iterator`, which was made from `dataset`, and name damaged images in errors."""
        size = self._batch_size or 1
        for number in itertools.count():
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except tf.errors.OpError as error:
                if damaged := self._find_damaged(number * size, size):
                    raise damaged from error
                raise
            yield batch


def with_workers(dataset: tf.data.Dataset, workers: int | None) -> tf.data.Dataset:
    """Return the dataset, read by at most `workers` threads, or by as many as TensorFlow likes for None.

    TensorFlow's tuning of the dataset's parallelism is turned off. Closing an iterator waits for the thread that does
    it, and in TensorFlow 2.21 that thread may sleep on for up to a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    if workers is not None:
        options.threading.private_threadpool_size = workers
    return dataset.with_options(options)


def parallel_calls(workers: int | None) -> int:
    """Return how many images a dataset reads or decodes at a time: one for each of the workers, or of the cores."""
    return workers or len(usable_cores())


def none_is_damaged(first: int, count: int) -> None:
    """Return None: images in memory are decoded already."""
