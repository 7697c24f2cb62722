"""Where images come from: a tensorflow-datasets builder, its splits, and what identifies its content."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np

from scarlet_tf.choices import require_known
from scarlet_tf.data.config import DataConfig, DataError, default_data_dir, require_image_folder
from scarlet_tf.data.fashion_mnist import prepare_fashion_mnist

# Sets whose "test" split has no labels: the public validation set is what papers report on.
_TESTED_ON_VALIDATION = ("imagenet2012", "imagenet2012_subset", "imagenet_resized")
_TEST_SPLITS = ("test", "validation", "val")

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STATISTICS = {
    "mnist": ((0.1307,) * 3, (0.3081,) * 3),
    "fashion_mnist": ((0.2860,) * 3, (0.3530,) * 3),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def statistics_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of a named set's pixels over 255; ImageNet's where they are not known.

    Args:
        name: of tensorflow-datasets, with or without version, or "folder:PATH".
    """
    return _STATISTICS.get(re.split("[:/]", name)[0], (IMAGENET_MEAN, IMAGENET_STD))


class Source:
    """The training and test images of a set, still encoded.

    Attributes:
        name: without version; the folder's path for a folder.
        class_names: by label.
        image_shape: (height, width, channels); height and width are None where images differ; channels are 1 or 3.
        mean, std: per channel, of pixels in [0, 1].
    """

    def __init__(self, config: DataConfig) -> None:
        self._builder = _folder_builder(config) if config.folder else _named_builder(config)
        self.name = config.name
        self._splits = {"train": "train", "test": _test_split(self._builder, config.name)}
        if isinstance(config.validation, str) and config.validation != "test":
            self._splits[config.validation] = _named_split(self._builder, config)
        self.class_names, self.image_shape = _check_features(self._builder, config.name)
        self.mean, self.std = statistics_of(self._builder.name)

    @property
    def channels(self) -> int:
        return self.image_shape[-1]

    @property
    def splits(self) -> list[str]:
        """ "train", "test", and a further one that is for validation."""
        return list(self._splits)

    def num_examples(self, split: str) -> int:
        return self._builder.info.splits[self._splits[split]].num_examples

    def labels(self, split: str) -> np.ndarray:
        """int32 labels in the order of `encoded`; reads the split once."""
        labels = self.encoded(split).map(lambda image, label, name: label).batch(1024).as_numpy_iterator()
        return np.concatenate(list(labels))

    def encoded(self, split: str):
        """tf.data.Dataset of (encoded image, int32 label, file name or ""), in a fixed order."""
        import tensorflow as tf
        import tensorflow_datasets as tfds

        examples = self._builder.as_dataset(
            split=self._splits[split], shuffle_files=False, decoders={"image": tfds.decode.SkipDecoding()}
        )
        return examples.map(
            lambda example: (example["image"], tf.cast(example["label"], tf.int32), example.get("image/filename", "")),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    @functools.cached_property
    def cache_dir(self) -> Path | None:
        """Where decoded arrays may be kept: beside a prepared set, which never changes; None for a folder."""
        if isinstance(self._builder, _folder_class()):
            return None
        return Path(self._builder.data_dir).parent / f".decoded_{self.identity[:16]}"

    @functools.cached_property
    def identity(self) -> str:
        """Hex digest of which images these are, wherever they lie: name and version, or files and their sizes."""
        if isinstance(self._builder, _folder_class()):
            root = self._builder.data_dir
            files = sorted(os.path.join(at, name) for at, _, names in os.walk(root) for name in names)
            content = [[os.path.relpath(file, root), os.path.getsize(file)] for file in files]
        else:
            info = self._builder.info
            content = [info.full_name, *([s.name, s.num_examples, s.num_bytes] for s in info.splits.values())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _folder_class():
    import tensorflow_datasets as tfds

    return tfds.folder_dataset.ImageFolder


def _folder_builder(config: DataConfig):
    require_image_folder(config.name)
    builder = _folder_class()(str(config.folder))
    splits = {name: split.num_examples for name, split in builder.info.splits.items()}
    if not splits.get("train"):
        raise DataError(f"no .jpg or .png images in {config.folder}/train/CLASS/; found images only in {list(splits)}")
    return builder


def _named_builder(config: DataConfig):
    import tensorflow_datasets as tfds

    data_dir = str(config.data_dir or default_data_dir())
    try:
        builder = tfds.builder(config.name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = tfds.list_builders()
        nearest = difflib.get_close_matches(config.name, known, n=1, cutoff=0)
        hint = f", nearest is {nearest[0]!r}" if nearest else ""
        raise DataError(
            f"unknown data set {config.name!r}: expected a tensorflow-datasets name or 'folder:PATH'{hint}"
        ) from error
    if builder.name == "fashion_mnist":
        prepare_fashion_mnist(data_dir)
        return tfds.builder(config.name, data_dir=data_dir)
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:
            raise DataError(
                f"data set {config.name!r} is not in {data_dir}, and preparing it failed: "
                f"{type(error).__name__}: {error}"
            ) from error
    return builder


def _named_split(builder, config: DataConfig) -> str:
    """The split that the config names for validation; DataError, with those there are, where it has no images."""
    splits = [split for split, info in builder.info.splits.items() if info.num_examples and split != "train"]
    require_known("split for validation", config.validation, splits, error=DataError)
    return config.validation


def _test_split(builder, name: str) -> str:
    splits = [split for split, info in builder.info.splits.items() if info.num_examples]
    if "train" not in splits:
        raise DataError(f"data set {name!r} has no split 'train': found {splits}")
    candidates = _TEST_SPLITS[1:] if builder.name in _TESTED_ON_VALIDATION else _TEST_SPLITS
    for candidate in candidates:
        if candidate in splits:
            return candidate
    raise DataError(f"data set {name!r} has no test images: expected a split of {candidates}, found {splits}")


def _check_features(builder, name: str) -> tuple[list[str], tuple[int | None, ...]]:
    import tensorflow_datasets as tfds

    features = dict(builder.info.features or {})
    image, label = features.get("image"), features.get("label")
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise DataError(f"data set {name!r} is not image classification: its features are {sorted(features)}")
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3):
        raise DataError(
            f"data set {name!r}: images must be 8-bit with 1 or 3 channels, are {image.np_dtype.__name__} "
            f"with {image.shape[-1]}"
        )
    return list(label.names), tuple(image.shape)
