"""ImageData: training and evaluation batches of a set, a pure function of their seed and step."""

from __future__ import annotations

import functools
import hashlib
import json

import numpy as np
import tensorflow as tf

from scarlet_tf.data import augment
from scarlet_tf.data.config import SPLITS, DataConfig, DataError
from scarlet_tf.data.decoding import decode, decoded_arrays
from scarlet_tf.data.source import Source

# Sets whose decoded images take less are held in memory; larger ones are streamed from disk.
MEMORY_LIMIT_BYTES = 500_000_000
# Encoded images among which a streamed set's next one is drawn. Prepared sets are stored shuffled already.
SHUFFLE_BUFFER = 16_384


def open_dataset(config: DataConfig) -> ImageData:
    """Opens a set, preparing it first where need be; DataError where it cannot be used as the config says."""
    source = Source(config)
    if config.search_validation >= source.num_examples("train"):
        raise DataError(
            f"search_validation must leave training images: {config.search_validation} of "
            f"{source.num_examples('train')} asked for in {config.name!r}"
        )
    total = source.num_examples("train") + source.num_examples("test")
    decoded_bytes = total * config.image_size**2 * source.channels
    if config.augment == "inception" or decoded_bytes > MEMORY_LIMIT_BYTES:
        return StreamedImages(config, source)
    return ImagesInMemory(config, source)


class ImageData:
    """The three splits of a set: "train", "search_validation" (held out of train), "test".

    Batches are (float32 (B, S, S, 3) normalised as `mean` and `std` say, int32 (B,)).

    Attributes:
        class_names: by label.
        num_examples: by split.
        mean, std: per channel, of pixels in [0, 1].
        fingerprint: hex digest of the images, the splits and the preprocessing.
    """

    def __init__(self, config: DataConfig, source: Source) -> None:
        self.config = config
        self.class_names = source.class_names
        self.mean, self.std = config.mean or source.mean, config.std or source.std
        self._source = source
        trainable = source.num_examples("train")
        order = np.random.default_rng(config.seed).permutation(trainable)
        held_out = np.zeros(trainable, bool)
        held_out[order[: config.search_validation]] = True
        self._held_out = held_out
        self.num_examples = {
            "train": trainable - config.search_validation,
            "search_validation": config.search_validation,
            "test": source.num_examples("test"),
        }

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @functools.cached_property
    def fingerprint(self) -> str:
        config = self.config
        described = [
            *(self._source.identity, self.class_names, self.num_examples, self.mean, self.std),
            *(config.image_size, config.augment, config.search_validation, config.seed),
        ]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    def train_batches(self, batch_size: int, *, seed: int, start_step: int = 0) -> tf.data.Dataset:
        """Endless training batches; element k depends on the config, batch_size, seed and k alone.

        The first element is number `start_step`. Every epoch is another permutation, less its incomplete last batch.
        """
        steps = self.num_examples["train"] // batch_size if batch_size > 0 else 0
        if not steps:
            raise DataError(
                f"batch_size must be in 1..{self.num_examples['train']} (training images), got {batch_size}"
            )
        if start_step < 0:
            raise DataError(f"start_step must be >= 0, got {start_step}")
        epoch, done = divmod(start_step, steps)
        epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
        batches = self._epochs(epochs, batch_size=batch_size, steps=steps, seed=seed, done=done)
        return batches.prefetch(4)

    def eval_batches(self, split: str, batch_size: int, *, limit: int | None = None) -> tf.data.Dataset:
        """The images of a split in a fixed order without augmentation, the first `limit` where given.

        The last batch may be smaller. DataError: unknown or empty split, batch_size or limit < 1.
        """
        if not self.num_examples.get(split):
            full = [name for name in SPLITS if self.num_examples[name]]
            raise DataError(f"no images in split {split!r} of {self.config.name!r}: expected one of {full}")
        if batch_size < 1 or (limit is not None and limit < 1):
            raise DataError(f"batch_size and limit must be >= 1, got {batch_size} and {limit}")
        return self._in_order(split, batch_size, limit=limit).prefetch(4)

    def arrays(self, split: str, *, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What `eval_batches` gives, at once: images (N, S, S, 3) float32 and labels (N,) int32."""
        batches = list(self.eval_batches(split, 500, limit=limit).as_numpy_iterator())
        images, labels = zip(*batches, strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def _normalised(self, images, labels):
        return augment.normalise(images, mean=self.mean, std=self.std), labels


class ImagesInMemory(ImageData):
    """A small set, decoded once into one uint8 array; every epoch indexes it by a permutation."""

    def _epochs(self, epochs, *, batch_size: int, steps: int, seed: int, done: int) -> tf.data.Dataset:
        images, labels = (tf.constant(array) for array in self._array("train"))
        members = tf.constant(np.flatnonzero(~self._held_out).astype(np.int32))
        size, channels = self.config.image_size, self._source.channels
        if self.config.augment == "flip_crop":
            images = augment.zero_pad(images)
            images = tf.reshape(images, (-1, images.shape[2] * channels))

        def permuted(epoch):
            order = tf.random.experimental.stateless_shuffle(members, tf.stack([seed, epoch]), alg="philox")
            indices = tf.reshape(order[: steps * batch_size], (steps, batch_size))
            numbers = epoch * steps + tf.range(steps, dtype=tf.int64)
            return tf.data.Dataset.from_tensor_slices((indices, numbers))

        def batch(indices, number):
            indices = tf.ensure_shape(indices, (batch_size,))
            if self.config.augment == "flip_crop":
                place = tf.stack([seed, number])
                chosen = augment.flip_crop_rows(images, indices, place, size=size, channels=channels)
            else:
                chosen = tf.gather(images, indices)
            return self._normalised(chosen, tf.gather(labels, indices))

        return epochs.flat_map(permuted).skip(done).map(batch, num_parallel_calls=2, deterministic=True)

    def _in_order(self, split: str, batch_size: int, *, limit: int | None) -> tf.data.Dataset:
        images, labels = self._array("test" if split == "test" else "train")
        indices = np.arange(len(labels), dtype=np.int32)
        if split != "test":
            indices = indices[self._held_out == (split == "search_validation")]
        batches = tf.data.Dataset.from_tensor_slices((images[indices[:limit]], labels[indices[:limit]]))
        return batches.batch(batch_size).map(self._normalised, num_parallel_calls=2)

    @functools.cache  # noqa: B019 - an ImageData lives as long as its arrays are needed
    def _array(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        return decoded_arrays(self._source, split, size=self.config.image_size)


class StreamedImages(ImageData):
    """A large set, or one whose augmentation needs the original images: read, decoded and augmented as it goes."""

    def _epochs(self, epochs, *, batch_size: int, steps: int, seed: int, done: int) -> tf.data.Dataset:
        held_out, size = tf.constant(self._held_out), self.config.image_size
        encoded = self._source.encoded("train").enumerate().filter(lambda index, _: not held_out[index])

        def permuted(epoch):
            # Of this function's graph only: else the process's global seed would change the order, and 0 would fail.
            tf.random.set_seed(1)
            shuffle_seed = tf.random.stateless_uniform((), [seed, epoch], None, None, tf.int64, alg="philox")
            order = encoded.shuffle(SHUFFLE_BUFFER, seed=shuffle_seed, reshuffle_each_iteration=False)
            numbers = epoch * steps * batch_size + tf.range(steps * batch_size, dtype=tf.int64)
            return tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(numbers), order)

        def example(number, indexed):
            _, (picture, label, _) = indexed
            image = decode(picture, channels=self._source.channels)
            if self.config.augment == "inception":
                image = augment.inception_crop(image, tf.stack([seed, number]), size=size)
            else:
                image = augment.fit(image, size)
            return image, label, number

        def batch(images, labels, numbers):
            if self.config.augment == "flip_crop":
                images = augment.flip_crop(images, tf.stack([seed, numbers[0] // batch_size]))
            return self._normalised(images, labels)

        images = epochs.flat_map(permuted).skip(done * batch_size)
        images = images.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return images.batch(batch_size, drop_remainder=True).map(batch)

    def _in_order(self, split: str, batch_size: int, *, limit: int | None) -> tf.data.Dataset:
        dataset = self._source.encoded("test" if split == "test" else "train")
        if split != "test":
            wanted = tf.constant(self._held_out == (split == "search_validation"))
            dataset = dataset.enumerate().filter(lambda index, _: wanted[index]).map(lambda _, example: example)
        fitted = augment.centre_crop if self.config.augment == "inception" else augment.fit

        def example(encoded, label, _):
            return fitted(decode(encoded, channels=self._source.channels), self.config.image_size), label

        dataset = dataset.take(-1 if limit is None else limit).map(example, num_parallel_calls=tf.data.AUTOTUNE)
        return dataset.batch(batch_size).map(self._normalised)
