"""Decoding: one encoded image, or a whole small set into one array."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from scarlet_tf.data import augment
from scarlet_tf.data.config import DataError
from scarlet_tf.data.source import Source
from scarlet_tf.files import write_atomically


def decode(encoded, *, channels: int):
    """JPEG, PNG, GIF or BMP bytes -> (H, W, channels) uint8."""
    return tf.io.decode_image(encoded, channels=channels, expand_animations=False)


def decoded_arrays(source: Source, split: str, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    """All images of a split fitted to `size`, (N, size, size, C) uint8, and labels, (N,) int32, in their fixed order.

    Of a named set they are kept as one file beside it, since decoding Fashion-MNIST takes ten seconds and reading
    this file none.

    Raises:
        DataError: naming the first image that does not decode.
    """
    cache = source.cache_dir and source.cache_dir / f"{split}_{size}.npz"
    if cache and (arrays := _read(cache, count=source.num_examples(split))):
        return arrays
    try:
        arrays = _decode_all(source, split, size=size)
    except tf.errors.InvalidArgumentError as error:
        raise DataError(_undecodable(source, split) or str(error)) from error
    if cache:
        _write(cache, *arrays)
    return arrays


def _decode_all(source: Source, split: str, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    count, shape = source.num_examples(split), source.image_shape
    images, labels = np.empty((count, size, size, source.channels), np.uint8), np.empty(count, np.int32)
    same_shape = None not in shape  # then images are fitted a batch at a time

    def decoded(encoded, label, _):
        image = tf.ensure_shape(decode(encoded, channels=source.channels), shape)
        return image if same_shape else augment.fit(image, size), label

    dataset = source.encoded(split).map(decoded, num_parallel_calls=tf.data.AUTOTUNE).batch(1024)
    if same_shape:
        dataset = dataset.map(lambda images, labels: (augment.fit(images, size), labels))
    at = 0
    for some_images, some_labels in dataset.as_numpy_iterator():
        images[at : at + len(some_labels)], labels[at : at + len(some_labels)] = some_images, some_labels
        at += len(some_labels)
    return images, labels


def _undecodable(source: Source, split: str) -> str | None:
    for encoded, _, name in source.encoded(split):
        try:
            decode(encoded, channels=source.channels)
        except tf.errors.InvalidArgumentError:
            return f"image {name.numpy().decode() or '(unnamed)'} in split {split!r} of {source.name!r} does not decode"
    return None


def _read(path: Path, *, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The cached arrays; None where there are none, or where the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            images, labels = stored["images"], stored["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return (images, labels) if len(images) == len(labels) == count else None


def _write(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    # A read-only data_dir or a full disk: the cache only saves time.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez(file, images=images, labels=labels))
