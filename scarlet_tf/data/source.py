"""Sources of encoded images, a folder or a tensorflow-datasets builder: splits, classes, and digests of the content."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.choices import check_known
from scarlet_tf.data.data_config import (
    FOLDER_TEST_SPLITS,
    DataConfig,
    DataError,
    check_image_folder,
    default_data_dir,
)
from scarlet_tf.data.fashion_mnist import prepare_fashion_mnist
from scarlet_tf.data.folder import ImageFolder, file_state

# Datasets whose "test" split has no labels: papers report on their public validation split.
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
    """Return mean and standard deviation per channel of a dataset's pixels in [0, 1]; ImageNet's if unknown.

    Args:
        name: a name of tensorflow-datasets, with or without version, or "folder:PATH".
    """
    return _STATISTICS.get(re.split("[:/]", name)[0], (IMAGENET_MEAN, IMAGENET_STD))


class FolderSource:
    """The encoded training and test images of a folder.

    Attributes:
        name: the dataset's name in the config.
        class_names: in label order; only classes that have images.
        image_shape: (height, width, channels); height and width are None if images differ, channels is 1 or 3.
        mean, std: per channel, of pixels in [0, 1].
        cache_dir: folder for decoded arrays; None: they are not cached, because files in a folder may change.
        fingerprint: hex digest of the set of images, independent of where they are stored.
        empty_classes: names of class folders without images.
        strays: paths of images beside the class folders.
    """

    image_shape = (None, None, 3)
    channels = 3
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    cache_dir = None

    def __init__(self, config: DataConfig, *, leave_out: Collection[str] = ()) -> None:
        check_image_folder(config.name)
        self.name = config.name
        named = isinstance(config.validation, str) and Path(config.validation).name == config.validation
        validation = [config.validation] if named and not config.validation.startswith(".") else []
        self._folder = folder = ImageFolder(config.folder, more_splits=validation, leave_out=leave_out)
        test = next((name for name in FOLDER_TEST_SPLITS if name in folder.splits), None)
        self._splits = {"train": "train" if "train" in folder.splits else None, "test": test}
        if isinstance(config.validation, str):
            full = [name for name in folder.splits if name != "train" and any(folder.classes(name).values())]
            self._splits |= _split_for_validation(config, full)
        used = [folder.classes(split) for split in set(filter(None, self._splits.values()))]
        counts = sum((Counter({name: len(paths) for name, paths in classes.items()}) for classes in used), Counter())
        self.class_names = sorted(counts)
        self.empty_classes = sorted({name for classes in used for name in classes} - set(counts))
        self.strays = [
            str(folder.root / split / name) for split in self._splits.values() if split for name in folder.strays(split)
        ]

    @property
    def splits(self) -> list[str]:
        """The names "train" and "test", and that of a further split used for validation."""
        return list(self._splits)

    @property
    def fingerprint(self) -> str:
        return self._folder.fingerprint

    def num_examples(self, split: str) -> int:
        return sum(self.class_counts(split).values())

    def class_counts(self, split: str) -> Mapping[str, int]:
        """Return the number of images by class, without empty classes."""
        if self._splits[split] is None:
            return {}
        return {name: len(paths) for name, paths in self._folder.classes(self._splits[split]).items() if paths}

    def labels(self, split: str) -> np.ndarray:
        """Return int32 labels in the order of `elements`."""
        label_of = {name: label for label, name in enumerate(self.class_names)}
        return np.array([label_of[name] for _, name in self._folder.examples(self._splits[split])], np.int32)

    def describe_missing(self, split: str) -> str:
        """Explain why a split has no images."""
        root, (first, *others) = self._folder.root, {"train": ("train",), "test": FOLDER_TEST_SPLITS}[split]
        expected = f"expected {root}/{first}/CLASS/*.jpg (or .png, .bmp, .gif, .webp)"
        expected += f", or {', '.join(others)} instead of {first}" if others else ""
        if not self._splits[split]:
            found = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
            return f"no {split} images in {root}: {expected}, found the folders {found}"
        return f"no {split} images in {root / self._splits[split]}: {expected}"

    def elements(self, split: str):
        """Return a tf.data.Dataset of (path, int32 label) in a fixed order; `read` reads the file of an element."""
        import tensorflow as tf

        examples = self._folder.examples(self._splits[split])
        paths = tf.constant([os.fsencode(path) for path, _ in examples], tf.string)
        return tf.data.Dataset.from_tensor_slices((paths, self.labels(split)))

    def read(self, path, label):
        """Return (encoded image, label) of an element."""
        import tensorflow as tf

        return tf.io.read_file(path), label

    def state(self, split: str) -> list:
        """Return a value that changes with the files of a split: path, size and time of each."""
        return [[path, *file_state(path)] for path, _ in self._folder.examples(self._splits[split])]


class NamedSource:
    """The encoded training and test images of a dataset of tensorflow-datasets, with the interface of FolderSource.

    The counts by class are unknown without reading all examples: `class_counts` returns None.
    """

    empty_classes = strays = ()

    def __init__(self, config: DataConfig, *, leave_out: Mapping[str, Collection[int]] | None = None) -> None:
        """Open a dataset, after preparing it if necessary.

        Args:
            config: the dataset and its preprocessing.
            leave_out: numbers of examples to ignore, by split.
        """
        self.name = config.name
        self._builder = _named_builder(config)
        self._leave_out = {split: sorted(numbers) for split, numbers in (leave_out or {}).items() if numbers}
        self._splits = _used_splits(self._builder)
        if isinstance(config.validation, str):
            full = [name for name, info in self._builder.info.splits.items() if info.num_examples and name != "train"]
            self._splits |= _split_for_validation(config, full)
        self.class_names, self.image_shape = _class_names_and_shape(self._builder, config.name)
        self.mean, self.std = statistics_of(self._builder.name)

    @property
    def channels(self) -> int:
        return self.image_shape[-1]

    @property
    def splits(self) -> list[str]:
        """The names "train" and "test", and that of a further split used for validation."""
        return list(self._splits)

    def num_examples(self, split: str) -> int:
        if self._splits[split] is None:
            return 0
        return self._builder.info.splits[self._splits[split]].num_examples - len(self._leave_out.get(split, ()))

    def class_counts(self, split: str) -> None:
        return None

    def labels(self, split: str) -> np.ndarray:
        """Return int32 labels in the order of `elements`; reads the split once."""
        labels = self.elements(split).map(lambda name, label, encoded: label).batch(1024).as_numpy_iterator()
        return np.concatenate(list(labels))

    def describe_missing(self, split: str) -> str:
        """Explain why a split has no images."""
        found = [name for name, info in self._builder.info.splits.items() if info.num_examples]
        expected = {"train": ("train",), "test": _test_splits(self._builder)}[split]
        return f"dataset {self.name!r} has no {split} images: expected a split of {expected}, found {found}"

    def elements(self, split: str):
        """Return a tf.data.Dataset of (file name or "number N", int32 label, encoded image) in a fixed order."""
        import tensorflow as tf
        import tensorflow_datasets as tfds

        examples = self._builder.as_dataset(
            split=self._splits[split], shuffle_files=False, decoders={"image": tfds.decode.SkipDecoding()}
        ).enumerate()
        if left_out := self._leave_out.get(split):
            kept = np.ones(self._builder.info.splits[self._splits[split]].num_examples, bool)
            kept[left_out] = False
            kept = tf.constant(kept)
            examples = examples.filter(lambda number, _: kept[number])

        def element(number, example):
            name = example.get("image/filename", "number " + tf.strings.as_string(number))
            return name, tf.cast(example["label"], tf.int32), example["image"]

        return examples.map(element, num_parallel_calls=tf.data.AUTOTUNE)

    def read(self, name, label, encoded):
        """Return (encoded image, label) of an element."""
        return encoded, label

    def state(self, split: str) -> str:
        """Return the fingerprint of the dataset, whose images never change."""
        return self.fingerprint

    @functools.cached_property
    def cache_dir(self) -> Path:
        """Folder for decoded arrays, beside the prepared dataset, which never changes."""
        return Path(self._builder.data_dir).parent / f".decoded_{self.fingerprint[:16]}"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hex digest of name, version, sizes and left-out examples, independent of where the dataset is stored."""
        info = self._builder.info
        content = [info.full_name, *([s.name, s.num_examples, s.num_bytes] for s in info.splits.values())]
        content += [self._leave_out] if self._leave_out else []
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


Source = FolderSource | NamedSource


def _split_for_validation(config: DataConfig, full: Sequence[str]) -> dict[str, str]:
    """Return the split that the config names for validation, or raise DataError if it is not among `full`."""
    if config.validation == "test":  # in use already, whatever the dataset calls it
        return {}
    if not full:
        raise DataError(f"no split for validation {config.validation!r}: {config.name!r} has only training images")
    check_known("split for validation", config.validation, full, error=DataError)
    return {config.validation: config.validation}


def _named_builder(config: DataConfig):
    import tensorflow_datasets as tfds

    check_image_folder(config.name)
    data_dir = str(config.data_dir or default_data_dir())
    try:
        builder = tfds.builder(config.name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = tfds.list_builders()
        nearest = difflib.get_close_matches(config.name, known, n=1, cutoff=0)
        hint = f", nearest is {nearest[0]!r}" if nearest else ""
        raise DataError(
            f"unknown dataset {config.name!r}: expected a tensorflow-datasets name or 'folder:PATH'{hint}"
        ) from error
    if builder.name == "fashion_mnist":
        prepare_fashion_mnist(data_dir)
        return tfds.builder(config.name, data_dir=data_dir)
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:
            raise DataError(
                f"dataset {config.name!r} is not in {data_dir}, and preparing it failed: "
                f"{type(error).__name__}: {error}"
            ) from error
    return builder


def _test_splits(builder) -> tuple[str, ...]:
    return _TEST_SPLITS[1:] if builder.name in _TESTED_ON_VALIDATION else _TEST_SPLITS


def _used_splits(builder) -> dict[str, str | None]:
    """Return the builder's names for "train" and "test"; None for a split without images."""
    full = [split for split, info in builder.info.splits.items() if info.num_examples]
    test = next((name for name in _test_splits(builder) if name in full), None)
    return {"train": "train" if "train" in full else None, "test": test}


def _class_names_and_shape(builder, name: str) -> tuple[list[str], tuple[int | None, ...]]:
    import tensorflow_datasets as tfds

    features = dict(builder.info.features or {})
    image, label = features.get("image"), features.get("label")
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise DataError(f"dataset {name!r} is not for image classification: its features are {sorted(features)}")
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3):
        raise DataError(
            f"dataset {name!r}: images must be 8-bit with 1 or 3 channels, got {image.np_dtype.__name__} "
            f"with {image.shape[-1]}"
        )
    return list(label.names), tuple(image.shape)
