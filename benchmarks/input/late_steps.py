"""Time from opening a set of tiny records to the batch of a late step."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from scarlet_tf.data import DataConfig, open_dataset

_BATCH = 256
_SIDE = 8


class TinyRecords(tfds.core.GeneratorBasedBuilder):
    """As many images of 8 x 8 pixels as `records` says."""

    VERSION = tfds.core.Version("1.0.0")
    records = 0

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(_SIDE, _SIDE, 3)),
            "label": tfds.features.ClassLabel(num_classes=2),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(self.records), "test": self._generate_examples(2)}

    def _generate_examples(self, count):
        encoded = tf.io.encode_png(np.zeros((_SIDE, _SIDE, 3), np.uint8)).numpy()
        for number in range(count):
            yield number, {"image": encoded, "label": number % 2}


def time_late_steps(folder: Path, *, records: int, step: int) -> dict:
    """Prepare records as array_record, open them, and return "seconds" to the first batch of a step, with the facts."""
    TinyRecords.records = records
    tfds.builder("tiny_records", data_dir=folder, file_format="array_record").download_and_prepare()
    start = time.perf_counter()
    data = open_dataset(DataConfig(name="tiny_records", image_size=_SIDE, data_dir=folder, augment="inception"))
    next(iter(data.train_batches(_BATCH, seed=0, start_step=step)))
    return {"records": records, "step": step, "batch": _BATCH, "seconds": time.perf_counter() - start}
