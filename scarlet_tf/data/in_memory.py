"""Small datasets, held in memory."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from scarlet_tf.data import augment
from scarlet_tf.data.batches import none_is_damaged
from scarlet_tf.data.data_config import DataConfig
from scarlet_tf.data.decoding import Source, decoded_arrays
from scarlet_tf.data.image_data import ImageData
from scarlet_tf.data.order import batches_of_numbers


class ImagesInMemory(ImageData):
    """A small dataset, decoded once into one uint8 array, which every epoch indexes by a permutation."""

    def __init__(self, config: DataConfig, source: Source) -> None:
        super().__init__(config, source)
        self._decoded: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def _training(self, *, batch_size: int, seed: int, first_step: int, rows: slice):
        images, labels = (tf.constant(array) for array in self._array("train"))
        members = np.flatnonzero(self._places["train"][1])
        size, channels = self.config.image_shape, self._source.channels
        if self.config.augment == "flip_crop":
            images = augment.zero_pad(images)
            images = tf.reshape(images, (-1, images.shape[2] * channels))

        def batch(indices, step):
            indices = tf.ensure_shape(indices, (rows.stop - rows.start,))
            draws = augment.Draws(seed=tf.stack([seed, step]), batch=batch_size, rows=rows)
            if self.config.augment == "flip_crop":
                chosen = augment.flip_crop_rows(images, indices, draws, size=size, channels=channels)
            else:
                chosen = tf.gather(images, indices)
            if self.config.augment == "flips":
                chosen = augment.flips(chosen, draws)
            return chosen, tf.gather(labels, indices)

        batches = batches_of_numbers(members, seed=seed, first_step=first_step, batch_size=batch_size, rows=rows)
        return batches.map(batch, num_parallel_calls=2, deterministic=True), none_is_damaged

    @tf.autograph.experimental.do_not_convert
    def _fitted(self, home: str, members: np.ndarray | None, *, limit: int | None = None):
        rows = (np.arange(self._source.num_examples(home)) if members is None else np.flatnonzero(members))[:limit]
        return tf.data.Dataset.from_tensor_slices(self._rows(home, rows)), none_is_damaged

    def _rows(self, home: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return some images and labels of a split; fewer than half are decoded without the others."""
        if home not in self._decoded and 2 * len(rows) < self._source.num_examples(home):
            return self._decode(home, rows=rows)
        images, labels = self._array(home)
        return images[rows], labels[rows]

    def _array(self, home: str) -> tuple[np.ndarray, np.ndarray]:
        if home not in self._decoded:
            self._decoded[home] = self._decode(home)
        return self._decoded[home]

    def _decode(self, home: str, *, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        config = self.config
        return decoded_arrays(self._source, home, size=config.image_shape, rows=rows, workers=config.input_workers)
