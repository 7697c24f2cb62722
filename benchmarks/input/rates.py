"""Images a second of the input pipeline, and of TensorFlow's decoders alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.data.batches import Batches
from scarlet_tf.progress import progress

SIZE = (375, 500)  # height and width; ImageNet's median
_DIFFERENT = 64  # images that are made; the folder holds copies of them
_CLASSES = 4
_BATCH = 32
_SIDE = 224


def measure_rates(folder: Path, *, images: int, rounds: int) -> dict:
    """Return images a second, by what is timed: a list with one number a round, and the mean size of a file.

    Args:
        folder: to make; holds the images.
        images: number that a round reads.
        rounds: after one that does not count.
    """
    files = make_images(folder, images)
    data = open_dataset(DataConfig(name=f"folder:{folder}", image_size=_SIDE, augment="inception"))
    whole = data.train_batches(_BATCH, seed=0)
    quarter = data.train_batches(4 * _BATCH, seed=0, rows=slice(0, _BATCH))
    ways: dict[str, Callable[[], int]] = {
        "pipeline": lambda: _drawn(whole, images),
        "pipeline, one of four workers": lambda: _drawn(quarter, images),
        "decode_and_crop_jpeg alone": lambda: _decoded(files, _decode_a_crop),
        "decode_jpeg alone": lambda: _decoded(files, lambda encoded: tf.io.decode_jpeg(encoded, channels=3)),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for count in progress(range(rounds + 1), "rates", unit="round"):
        for way, run in ways.items():
            start = time.perf_counter()
            done = run()
            if count:
                rates[way].append(done / (time.perf_counter() - start))
    size = float(np.mean([os.path.getsize(path) for path in files]))
    return {"images": images, "batch": _BATCH, "file_bytes": size, "images_per_second": rates}


def make_images(folder: Path, count: int) -> list[str]:
    """Write JPEGs with the detail of photographs, noise at every scale, to a folder as `DataConfig` expects it."""
    rng = np.random.default_rng(0)
    encoded = [_photograph(rng) for _ in range(_DIFFERENT)]
    files = []
    for number in range(count):
        path = folder / "train" / f"class_{number % _CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded[number % _DIFFERENT])
        files.append(str(path))
    for name in range(_CLASSES):
        path = folder / "test" / f"class_{name}" / "0.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(encoded[name])
    return files


def _photograph(rng: np.random.Generator) -> bytes:
    image = np.zeros((*SIZE, 3), np.float32)
    for exponent in range(1, 9):  # of the size of the squares
        side = 2**exponent
        coarse = rng.normal(0, side**0.35, (SIZE[0] // side + 1, SIZE[1] // side + 1, 3)).astype(np.float32)
        image += tf.image.resize(coarse, SIZE).numpy()
    image = 128 + 60 * image / image.std()
    return tf.io.encode_jpeg(np.clip(image, 0, 255).astype(np.uint8), quality=90).numpy()


def _drawn(batches: Batches, images: int) -> int:
    """Read that many images from the first on; nothing is read ahead when it returns."""
    steps = -(-images // _BATCH)
    return _BATCH * sum(1 for _ in batches.take(steps))


def _decoded(files: list[str], decode: Callable) -> int:
    paths = tf.data.Dataset.from_tensor_slices(files)
    images = paths.map(
        lambda path: tf.reduce_sum(tf.cast(decode(tf.io.read_file(path))[0, 0], tf.int32)), tf.data.AUTOTUNE
    )
    return sum(1 for _ in images)


def _decode_a_crop(encoded):
    height, width = SIZE
    return tf.image.decode_and_crop_jpeg(encoded, [height // 4, width // 4, height // 2, width // 2], channels=3)
