"""The garment pairs as a builder of tensorflow-datasets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.garment_pairs.drawing import SIDE, VERSION, draw_pair
from scarlet_tf.data.data_config import default_data_dir
from scarlet_tf.data.fashion_mnist import prepare_fashion_mnist
from scarlet_tf.files import expand_user, waiting_lock, write_atomically

NUM_EXAMPLES = {"train": 40_000, "test": 10_000}
_NAMES = ("t_shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot")


class GarmentPairs(tfds.core.GeneratorBasedBuilder):
    """Two garments in an image: 100 classes, the upper garment's class times 10 plus the lower one's.

    Example n of a split is drawn from the seed (split, n), with two garments drawn from the split's images of
    Fashion-MNIST.
    """

    VERSION = tfds.core.Version(VERSION)

    def _info(self):
        names = [f"{upper}, {lower}" for upper in _NAMES for lower in _NAMES]
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(SIDE, SIDE, 1), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=names),
            }
        )
        return self.dataset_info_from_configs(
            features=features, supervised_keys=("image", "label"), description=type(self).__doc__
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in NUM_EXAMPLES}

    def _generate_examples(self, split: str) -> Iterator:
        source = tfds.load("fashion_mnist", split=split, data_dir=self._data_dir_root, batch_size=-1, download=False)
        garments, classes = source["image"].numpy()[..., 0], source["label"].numpy()
        for number in range(NUM_EXAMPLES[split]):
            rng = np.random.default_rng((list(NUM_EXAMPLES).index(split), number))
            upper, lower = rng.integers(len(garments), size=2)
            image = draw_pair(garments[upper], garments[lower], rng)
            yield number, {"image": image[..., np.newaxis], "label": int(10 * classes[upper] + classes[lower])}


def prepare_garment_pairs(data_dir: str | os.PathLike | None = None) -> Path:
    """Prepare the garment pairs, and Fashion-MNIST, unless they are there already; about a minute.

    Args:
        data_dir: folder of tensorflow-datasets; None: the default.

    Returns:
        The folder of the prepared dataset.
    """
    data_dir = expand_user(data_dir) if data_dir else default_data_dir()
    prepare_fashion_mnist(data_dir)
    with waiting_lock(data_dir / ".garment_pairs.lock"):
        builder = GarmentPairs(data_dir=str(data_dir))
        builder.download_and_prepare()
    return Path(builder.data_path)


def draw_examples(data_dir: str | os.PathLike | None, path: str | os.PathLike, *, rows: int = 4, columns: int = 10):
    """Write a .png with the first test images, left to right and top to bottom."""
    import tensorflow as tf

    builder = GarmentPairs(data_dir=str(expand_user(data_dir) if data_dir else default_data_dir()))
    examples = tfds.as_numpy(builder.as_dataset(split=f"test[:{rows * columns}]"))
    images = np.stack([example["image"] for example in examples]).reshape(rows, columns, SIDE, SIDE)
    picture = images.transpose(0, 2, 1, 3).reshape(rows * SIDE, columns * SIDE, 1)
    write_atomically(path, tf.io.encode_png(picture).numpy())
