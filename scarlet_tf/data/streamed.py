"""Large datasets, read, decoded and augmented on the fly."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from scarlet_tf.data import augment
from scarlet_tf.data.batches import FindDamaged, parallel_calls
from scarlet_tf.data.decoding import decoder, first_damaged
from scarlet_tf.data.image_data import ImageData
from scarlet_tf.data.order import batches_of_numbers

# Number of encoded images, of sources that are read in their order. Prepared datasets are stored shuffled already.
SHUFFLE_BUFFER = 16_384


class StreamedImages(ImageData):
    """A large dataset, or one that needs its original images: read, decoded and augmented on the fly."""

    def _training(self, *, batch_size: int, seed: int, first_step: int, rows: slice):
        size, decode = self.config.image_shape, decoder(self._source)
        choose = self._chosen if self._source.at else self._filtered
        examples = choose(batch_size=batch_size, seed=seed, first_step=first_step, rows=rows)

        def example(number, element):
            encoded, label = self._source.read(*element)
            image = decode(encoded)
            if self.config.augment == "inception":
                image = augment.inception_crop(image, tf.stack([seed, number]), size=size)
            else:
                image = augment.fit(image, size)
            return image, label, number

        def batch(images, labels, numbers):
            draws = augment.Draws(seed=tf.stack([seed, numbers[0] // batch_size]), batch=batch_size, rows=rows)
            if self.config.augment == "flip_crop":
                images = augment.flip_crop(images, draws)
            elif self.config.augment == "flips":
                images = augment.flips(images, draws)
            return images, labels

        images = examples.map(example, num_parallel_calls=parallel_calls(self.config.input_workers), deterministic=True)
        batches = images.batch(rows.stop - rows.start, drop_remainder=True).map(batch)
        return batches, self._finder("train", examples.map(lambda _, element: element))

    def _chosen(self, *, batch_size: int, seed: int, first_step: int, rows: slice) -> tf.data.Dataset:
        """Return (number in the run, element) of the rows, where the source reads any element directly."""
        at = self._source.at("train")
        places = tf.range(rows.start, rows.stop, dtype=tf.int64)

        def elements(numbers, step):
            return step * batch_size + places, at(numbers)

        members = np.flatnonzero(self._places["train"][1])
        chosen = batches_of_numbers(members, seed=seed, first_step=first_step, batch_size=batch_size, rows=rows)
        return chosen.map(elements, num_parallel_calls=2, deterministic=True).unbatch()

    def _filtered(self, *, batch_size: int, seed: int, first_step: int, rows: slice) -> tf.data.Dataset:
        """Return (number in the run, element) of the rows, where the source is read from its beginning."""
        steps = self.num_examples["train"] // batch_size
        elements = self._elements(*self._places["train"])
        first_epoch, done = divmod(first_step, steps)

        def permuted(epoch):
            # Sets the seed of this function's graph only. Otherwise the order would depend on the process's global
            # seed, and a global seed of 0 would fail.
            tf.random.set_seed(1)
            shuffle_seed = tf.random.stateless_uniform((), [seed, epoch], None, None, tf.int64, alg="philox")
            order = elements.shuffle(SHUFFLE_BUFFER, seed=shuffle_seed, reshuffle_each_iteration=False)
            numbers = epoch * steps * batch_size + tf.range(steps * batch_size, dtype=tf.int64)
            return tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(numbers), order)

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        order = epochs.flat_map(permuted).skip(done * batch_size)
        if rows == slice(0, batch_size):
            return order
        return order.filter(lambda number, _: (number % batch_size >= rows.start) & (number % batch_size < rows.stop))

    def _elements(self, home: str, members: np.ndarray | None) -> tf.data.Dataset:
        elements = self._source.elements(home)
        if members is None:
            return elements
        wanted = tf.constant(members)
        return elements.enumerate().filter(lambda index, _: wanted[index]).map(lambda _, element: element)

    @tf.autograph.experimental.do_not_convert
    def _fitted(self, home: str, members: np.ndarray | None, *, limit: int | None = None):
        elements = self._elements(home, members).take(-1 if limit is None else limit)
        size, share, decode = self.config.image_shape, self.crop_share, decoder(self._source)

        def example(*element):
            encoded, label = self._source.read(*element)
            image = decode(encoded)
            return augment.fit(image, size) if share == 1 else augment.centre_crop(image, size, share=share), label

        fitted = elements.map(example, num_parallel_calls=parallel_calls(self.config.input_workers))
        return fitted, self._finder(home, elements)

    def _finder(self, home: str, elements: tf.data.Dataset) -> FindDamaged:
        """Return a function that finds damaged images among `elements`, in the order of their use."""
        return lambda first, count: first_damaged(self._source, home, elements.skip(first).take(count))
