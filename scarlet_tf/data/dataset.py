"""Opening a dataset."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Collection, Sequence

from scarlet_tf.data.classes import DataWarning, check_classes
from scarlet_tf.data.data_config import DataConfig, DataError
from scarlet_tf.data.decoding import Source, open_source
from scarlet_tf.data.encoded_cache import EncodedCache, check_cache, open_cache
from scarlet_tf.data.image_data import ImageData
from scarlet_tf.data.in_memory import ImagesInMemory
from scarlet_tf.data.streamed import StreamedImages

# Datasets whose decoded images take more are streamed from disk; smaller ones are held in memory.
MEMORY_LIMIT_BYTES = 500_000_000
_MOST_NAMED = 5  # files or folders in a warning


def open_dataset(config: DataConfig, *, splits: Collection[str] | None = None) -> ImageData:
    """Open a dataset, after downloading and preparing it if necessary.

    Args:
        config: the dataset and its preprocessing.
        splits: splits that will be used. Other splits may lack images, and classes are compared only between used
            splits. None: all that training uses: "train", "test", and a split that `config.validation` names.

    Returns:
        The dataset, held in memory if it is small and needs its original images neither for augmentation nor for the
        crop of evaluation, else streamed.

    Raises:
        DataError: if the config does not fit the dataset, a used split has no images, or the cache cannot be used.

    Example:
        >>> data = open_dataset(DataConfig(name="folder:flowers", image_size=64))
        >>> images, labels = next(iter(data.eval_batches("test", 32)))
    """
    check_cache(config.cache)
    source, left_out = open_source(config)
    _warn_of_oddities(source, left_out)
    home_of = {"search_validation": "train", "validation": "train"}
    if isinstance(config.validation, str):
        home_of["validation"] = config.validation
    used = source.splits if splits is None else sorted({home_of.get(split, split) for split in splits})
    for split in used:
        if not source.num_examples(split):
            raise DataError(source.describe_missing(split))
    train = source.num_examples("train")
    if train and config.search_validation >= train:
        raise DataError(
            f"search_validation must be smaller than the {train} training images of {config.name!r}, "
            f"got {config.search_validation}"
        )
    if {"train", "test"} <= set(used):
        check_classes(config.name, {split: source.class_counts(split) for split in used})
    height, width = config.image_shape
    decoded_bytes = sum(map(source.num_examples, source.splits)) * height * width * source.channels
    cropped = (config.crop_share or config.default_crop_share) < 1
    if config.augment == "inception" or cropped or decoded_bytes > MEMORY_LIMIT_BYTES:
        data = StreamedImages(config, source)
        if config.cache:
            source.cache = _cache_of(
                source, config.cache, size=sum(map(data.encoded_bytes, splits or data.num_examples))
            )
        return data
    if config.cache:
        _say_that_no_cache_is_needed(config.name, config.cache)
    return ImagesInMemory(config, source)


@functools.cache  # once, though a tool opens its dataset several times
def _say_that_no_cache_is_needed(name: str, where: str) -> None:
    print(f"--cache={where} has no effect: the decoded images of {name!r} are held in memory", file=sys.stderr)


def _cache_of(source: Source, where: str, *, size: int) -> EncodedCache:
    """Return the cache for images of this size in bytes."""
    if not source.at:
        raise DataError(
            f"--cache={where} needs images that are read by number, an image folder or array_record, but "
            f"{source.name!r} is stored as TFRecord files"
        )
    return open_cache(where, name=source.name, fingerprint=source.fingerprint, encoded_bytes=size)


def _warn_of_oddities(source: Source, left_out: Sequence[str]) -> None:
    for one, many, names in (
        ("damaged image", "damaged images", left_out),
        ("class folder without images", "class folders without images", source.empty_classes),
        ("image outside class folders", "images outside class folders", source.strays),
    ):
        if names:
            what = one if len(names) == 1 else many
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            warnings.warn(
                f"left out of {source.name!r}: {len(names)} {what}: {', '.join(names[:_MOST_NAMED])}{more}",
                DataWarning,
                stacklevel=1,
            )
