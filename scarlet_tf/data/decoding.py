"""Decoding of single images and of whole small datasets, and detection of images that do not decode."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from scarlet_tf.data import augment
from scarlet_tf.data.batches import parallel_calls, with_workers
from scarlet_tf.data.bmp import decode_palette_bmp, is_palette_bmp
from scarlet_tf.data.data_config import DataConfig, DataError
from scarlet_tf.data.folder_source import FolderSource
from scarlet_tf.data.named_source import ArrayRecordSource, NamedSource, prepared_builder
from scarlet_tf.files import user_cache, write_atomically
from scarlet_tf.image_size import canonical_image_size, describe_image_size
from scarlet_tf.progress import progress


def decoder(source: Source) -> Callable:
    """Return the function that decodes a source's images: encoded bytes -> (H, W, channels) uint8.

    Where no file is called .bmp, it does not look for palettes: asking every image takes 15 % of the time to decode it.
    """
    return functools.partial(_decode_also_palettes if source.has_bmps else _decode, channels=source.channels)


# Traced once for all datasets, not once for each that maps it.
@tf.function(autograph=False)
def _decode(encoded, *, channels: int):
    """Decode JPEG, PNG, GIF, BMP or WebP bytes."""
    return tf.io.decode_image(encoded, channels=channels, expand_animations=False)


@tf.function(autograph=False)
def _decode_also_palettes(encoded, *, channels: int):
    return tf.cond(
        is_palette_bmp(encoded),
        lambda: decode_palette_bmp(encoded, channels=channels),
        lambda: tf.io.decode_image(encoded, channels=channels, expand_animations=False),
    )


Source = FolderSource | NamedSource


def open_source(config: DataConfig) -> tuple[Source, list[str]]:
    """Open the source of a dataset, and return it with the names of the damaged images that `skip_damaged` left out."""
    make = _opener(config)
    source = make(leave_out=())
    if not config.skip_damaged:
        return source, []
    workers = config.input_workers
    damaged = {split: _damaged(source, split, workers=workers) for split in source.splits if source.num_examples(split)}
    names = [name for found in damaged.values() for name in found.values()]
    if not names:
        return source, []
    return make(leave_out=names if config.folder else {split: list(found) for split, found in damaged.items()}), names


def _opener(config: DataConfig):
    if config.folder:
        return functools.partial(FolderSource, config)
    builder = prepared_builder(config)
    array_record = builder.info.file_format == builder.info.file_format.ARRAY_RECORD
    return functools.partial(ArrayRecordSource if array_record else NamedSource, config, builder)


def first_damaged(source: Source, split: str, elements: tf.data.Dataset) -> DataError | None:
    """Return an error that names the first element that does not decode, or None if all do.

    Raises:
        OSError: if a remote file could not be read, which is no damage.
    """
    if source.unreadable:
        raise source.unreadable
    decode = decoder(source).func.python_function  # whose errors have no stack
    for element in elements:
        try:
            decode(source.read(*element)[0], channels=source.channels)
        except tf.errors.OpError as error:
            if source.unreadable:
                raise source.unreadable from error
            return DataError(
                f"image {os.fsdecode(element[0].numpy())} in split {split!r} of {source.name!r} cannot be decoded: "
                f"{_reason(error)}; --skip_damaged skips such images"
            )
    return None


def _reason(error: tf.errors.OpError) -> str:
    """Return TensorFlow's message without the names of its operations."""
    words = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]|\bname:\s*$", "", error.message or "")
    return " ".join(words.split()).rstrip(".")


def _damaged(source: Source, split: str, *, workers: int | None) -> dict[int, str]:
    """Decode all images of a split, and return the numbers and names of those that fail.

    The result is kept in the user's cache until a file's size or time, or TensorFlow's version, changes.
    """
    content = json.dumps([tf.__version__, split, source.state(split)])
    cache = user_cache() / "damaged" / f"{hashlib.sha256(content.encode()).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError):
        return {int(number): name for number, name in json.loads(cache.read_text(encoding="utf-8")).items()}
    damaged = _find_damaged(source, split, workers=workers)
    with contextlib.suppress(OSError):  # a read-only home: the cache only saves time
        write_atomically(cache, json.dumps(damaged))
    return damaged


@tf.autograph.experimental.do_not_convert
def _find_damaged(source: Source, split: str, *, workers: int | None) -> dict[int, str]:
    decode = decoder(source)

    def decoded(number, element):
        # tf.size uses the image: TensorFlow would not decode it otherwise.
        return number, tf.size(decode(source.read(*element)[0]))

    elements, count = source.elements(split).enumerate(), source.num_examples(split)
    readable = elements.map(decoded, num_parallel_calls=parallel_calls(workers)).ignore_errors(log_warning=False)
    readable = with_workers(readable, workers)
    bad = np.ones(count, bool)
    for number, _ in progress(readable.as_numpy_iterator(), f"check {split}", unit="image", total=count):
        bad[number] = False
    if source.unreadable:
        raise source.unreadable
    if not bad.any():
        return {}
    is_bad = tf.constant(bad)
    names = with_workers(elements.filter(lambda number, _: is_bad[number]).map(lambda _, element: element[0]), workers)
    return dict(zip(np.flatnonzero(bad).tolist(), map(os.fsdecode, names.as_numpy_iterator()), strict=True))


@tf.autograph.experimental.do_not_convert
def decoded_arrays(
    source: Source,
    split: str,
    *,
    size: tuple[int, int],
    rows: np.ndarray | None = None,
    workers: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the images of a split in their fixed order, fitted to `size`: (N, *size, C) uint8, and labels (N,) int32.

    For tensorflow-datasets, the images of a whole split are cached in a file beside the dataset: decoding Fashion-MNIST
    takes ten seconds, reading this file none.

    Args:
        rows: sorted numbers of the images to decode; None: all.
        workers: see `DataConfig.input_workers`.

    Raises:
        DataError: if an image does not decode; names the first.
    """
    shown = describe_image_size(canonical_image_size(size, what="image_size"))
    cache = source.cache_dir and source.cache_dir / f"{split}_{shown}.npz"
    if cache and (arrays := _read(cache, count=source.num_examples(split))):
        return arrays if rows is None else (arrays[0][rows], arrays[1][rows])
    elements, count = source.elements(split), source.num_examples(split)
    if rows is not None:
        wanted, count = np.zeros(count, bool), len(rows)
        wanted[rows] = True
        wanted = tf.constant(wanted)
        elements = elements.enumerate().filter(lambda number, _: wanted[number]).map(lambda _, element: element)
    try:
        arrays = _decode_all(source, elements, count=count, size=size, workers=workers)
    except tf.errors.OpError as error:
        if damaged := first_damaged(source, split, elements):
            raise damaged from error
        raise
    if cache and rows is None:
        _write(cache, *arrays)
    return arrays


def _decode_all(
    source: Source, elements: tf.data.Dataset, *, count: int, size: tuple[int, int], workers: int | None
) -> tuple[np.ndarray, np.ndarray]:
    shape, decode = source.image_shape, decoder(source)
    images, labels = np.empty((count, *size, source.channels), np.uint8), np.empty(count, np.int32)
    same_shape = None not in shape  # whole batches can be fitted at once

    def decoded(*element):
        encoded, label = source.read(*element)
        image = tf.ensure_shape(decode(encoded), shape)
        return image if same_shape else augment.fit(image, size), label

    dataset = elements.map(decoded, num_parallel_calls=parallel_calls(workers)).batch(1024)
    if same_shape:
        dataset = dataset.map(lambda images, labels: (augment.fit(images, size), labels))
    at = 0
    for some_images, some_labels in with_workers(dataset, workers).as_numpy_iterator():
        images[at : at + len(some_labels)], labels[at : at + len(some_labels)] = some_images, some_labels
        at += len(some_labels)
    return images, labels


def _read(path: Path, *, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the cached arrays, or None if the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            images, labels = stored["images"], stored["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return (images, labels) if len(images) == len(labels) == count else None


def _write(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    # Ignore a read-only data_dir or a full disk: the cache only saves time.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez(file, images=images, labels=labels))
