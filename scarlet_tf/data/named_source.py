"""Sources of the encoded images of a dataset of tensorflow-datasets: splits, classes, and digests of the content."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.data.data_config import DataConfig, DataError, check_image_folder, default_data_dir
from scarlet_tf.data.encoded_cache import EncodedCache, fetch
from scarlet_tf.data.fashion_mnist import prepare_fashion_mnist
from scarlet_tf.data.source import split_for_validation, statistics_of
from scarlet_tf.files import user_cache
from scarlet_tf.paths import is_remote

# Datasets whose "test" split has no labels: papers report on their public validation split.
_TESTED_ON_VALIDATION = ("imagenet2012", "imagenet2012_subset", "imagenet_resized")
_TEST_SPLITS = ("test", "validation", "val")
_AT_ONCE = 64  # records of array_record files that are read in one go


class NamedSource:
    """The encoded training and test images of a dataset of tensorflow-datasets, with the interface of FolderSource.

    The counts by class are unknown without reading all examples: `class_counts` returns None.
    """

    empty_classes = strays = ()
    unreadable = None
    has_bmps = False
    at = None  # elements are read in their order only

    def __init__(self, config: DataConfig, builder, *, leave_out: Mapping[str, Collection[int]] | None = None) -> None:
        """Open a dataset.

        Args:
            config: the dataset and its preprocessing.
            builder: of tensorflow-datasets, whose dataset is prepared, see `prepared_builder`.
            leave_out: numbers of examples to ignore, by split.
        """
        self.name = config.name
        self._builder = builder
        self._leave_out = {split: sorted(numbers) for split, numbers in (leave_out or {}).items() if numbers}
        self._splits = _used_splits(self._builder)
        if isinstance(config.validation, str):
            full = [name for name, info in self._builder.info.splits.items() if info.num_examples and name != "train"]
            self._splits |= split_for_validation(config, full)
        self.class_names, self.image_shape = _class_names_and_shape(self._builder, config.name)
        self.mean, self.std = statistics_of(self._builder.name)

    @property
    def channels(self) -> int:
        return self.image_shape[-1]

    @property
    def splits(self) -> list[str]:
        """The names "train" and "test", and that of a further split used for validation."""
        return list(self._splits)

    def stored_split(self, split: str) -> str | None:
        """Return what the dataset calls a split; None if the dataset does not have it."""
        return self._splits[split]

    def num_examples(self, split: str) -> int:
        if self._splits[split] is None:
            return 0
        return self._builder.info.splits[self._splits[split]].num_examples - len(self._leave_out.get(split, ()))

    def encoded_bytes(self, split: str) -> int:
        """Return the size of the examples of a split."""
        return self._builder.info.splits[self._splits[split]].num_bytes if self._splits[split] else 0

    def class_counts(self, split: str) -> None:
        return None

    def labels(self, split: str) -> np.ndarray:
        """Return int32 labels in the order of `elements`; reads the split once."""
        from scarlet_tf.data.batches import with_workers

        labels = self.elements(split).map(lambda name, label, encoded: label).batch(1024)
        return np.concatenate(list(with_workers(labels, None).as_numpy_iterator()))

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

        return examples.map(element)

    def read(self, name, label, encoded):
        """Return (encoded image, label) of an element."""
        return encoded, label

    def state(self, split: str) -> str:
        """Return the fingerprint of the dataset, whose images never change."""
        return self.fingerprint

    @functools.cached_property
    def cache_dir(self) -> Path:
        """Folder for decoded arrays: beside the prepared dataset, which never changes, or in the cache."""
        name = f".decoded_{self.fingerprint[:16]}"
        data_dir = str(self._builder.data_dir)
        return user_cache() / name if is_remote(data_dir) else Path(data_dir).parent / name

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hex digest of name, version, sizes and left-out examples, independent of where the dataset is stored."""
        info = self._builder.info
        content = [info.full_name, *([s.name, s.num_examples, s.num_bytes] for s in info.splits.values())]
        content += [self._leave_out] if self._leave_out else []
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class ArrayRecordSource(NamedSource):
    """A dataset that is stored as array_record, whose elements can be read in any order.

    Attributes:
        cache: keeps the examples that were read; None: they are read again.
    """

    cache: EncodedCache | None = None

    def at(self, split: str):
        """Return a function from numbers of elements, int (n,), to the elements, as arrays (n,) of their parts."""
        import tensorflow as tf
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        info = self._builder.info.splits[self._splits[split]]
        records = ArrayRecordDataSource([str(path) for path in info.filepaths])
        left_out = self._leave_out.get(split, ())
        places = np.delete(np.arange(info.num_examples), list(left_out)) if left_out else None
        # Batches are read two at a time. The first one of an epoch may want an image that the one before is reading.
        one_batch = threading.Lock()

        def read(numbers):
            wanted = (numbers if places is None else places[numbers]).tolist()
            if self.cache is None:
                return np.array(records.__getitems__(wanted), object)
            keys = [f"{split}/{place}" for place in wanted]
            place_of = dict(zip(keys, wanted, strict=True))
            with one_batch:
                new = fetch(self.cache, keys, lambda keys: records.__getitems__([place_of[key] for key in keys]))
            return np.array(new, object)

        def elements(numbers):
            serialized = tf.ensure_shape(tf.numpy_function(read, [numbers], tf.string), numbers.shape)
            return "number " + tf.strings.as_string(numbers), serialized

        return elements

    def elements(self, split: str):
        """Return a tf.data.Dataset of ("number N", serialized example) in a fixed order."""
        import tensorflow as tf

        numbers = tf.data.Dataset.range(self.num_examples(split)).batch(_AT_ONCE)
        return numbers.map(self.at(split), num_parallel_calls=2, deterministic=True).unbatch()

    def labels(self, split: str) -> np.ndarray:
        """Return int32 labels in the order of `elements`; reads the split once."""
        from scarlet_tf.data.batches import parallel_calls, with_workers

        labels = self.elements(split).map(
            lambda *element: self.read(*element)[1], num_parallel_calls=parallel_calls(None)
        )
        return np.concatenate(list(with_workers(labels.batch(1024), None).as_numpy_iterator()))

    def read(self, name, serialized):
        """Return (encoded image, label) of an element."""
        import tensorflow as tf
        import tensorflow_datasets as tfds

        example = self._builder.info.features.deserialize_example(
            serialized, decoders={"image": tfds.decode.SkipDecoding()}
        )
        return example["image"], tf.cast(example["label"], tf.int32)


def prepared_builder(config: DataConfig):
    """Return the builder of a dataset of tensorflow-datasets, after preparing the dataset if necessary."""
    import tensorflow_datasets as tfds

    check_image_folder(config.name)
    data_dir = str(config.data_dir or default_data_dir())
    remote = is_remote(data_dir)
    if remote:
        _check_readable_by_tensorflow(data_dir)
    try:
        builder = tfds.builder(config.name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = tfds.list_builders()
        nearest = difflib.get_close_matches(config.name, known, n=1, cutoff=0)
        hint = f", nearest is {nearest[0]!r}" if nearest else ""
        raise DataError(
            f"unknown dataset {config.name!r}: expected a tensorflow-datasets name or 'folder:PATH'{hint}"
        ) from error
    if builder.name == "fashion_mnist" and not remote:
        prepare_fashion_mnist(data_dir)
        return tfds.builder(config.name, data_dir=data_dir)
    if builder.name == "imagenet2012" and not builder.data_path.exists():
        raise DataError(f"dataset {config.name!r} is not in {data_dir}: prepare it by tools/prepare_imagenet.py")
    if remote:
        _check_remote(builder)
    elif not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:
            raise DataError(
                f"dataset {config.name!r} is not in {data_dir}, and preparing it failed: "
                f"{type(error).__name__}: {error}"
            ) from error
    return builder


def _check_readable_by_tensorflow(data_dir: str) -> None:
    import tensorflow as tf

    known = [f"{scheme}://" for scheme in tf.io.gfile.get_registered_schemes() if scheme not in ("", "file", "ram")]
    if not data_dir.startswith(tuple(known)):
        raise DataError(
            f"data_dir {data_dir}: TensorFlow reads datasets itself, from local folders and {', '.join(known)} alone: "
            "for images in other stores, use --dataset=folder:PATH"
        )


def _check_remote(builder) -> None:
    if not builder.is_prepared():
        raise DataError(f"no dataset {builder.name!r} in {builder.data_path}: prepare it locally, and copy its folder")
    if builder.info.file_format == builder.info.file_format.ARRAY_RECORD:
        raise DataError(f"dataset in {builder.data_path}: array_record files are read from local disks only")


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
