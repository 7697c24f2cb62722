"""Source of the encoded images of a folder: splits, classes, and digests of the content."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.data.data_config import FOLDER_TEST_SPLITS, DataConfig, check_image_folder
from scarlet_tf.data.encoded_cache import EncodedCache, fetch
from scarlet_tf.data.folder import ImageFolder
from scarlet_tf.data.source import IMAGENET_MEAN, IMAGENET_STD, split_for_validation
from scarlet_tf.paths import as_path, is_remote


class FolderSource:
    """The encoded training and test images of a folder.

    Attributes:
        name: the dataset's name in the config.
        class_names: in label order; only classes that have images.
        image_shape: (height, width, channels); height and width are None if images differ, channels is 1 or 3.
        mean, std: per channel, of pixels in [0, 1].
        cache_dir: folder for decoded arrays; None: they are not cached, because files in a folder may change.
        fingerprint: hex digest of the set of images, independent of where they are stored.
        unreadable: the error of a remote file that could not be read; TensorFlow's own, which it causes, is that of a
            damaged image.
        empty_classes: names of class folders without images.
        strays: paths of images beside the class folders.
        has_bmps: whether any file's name ends in .bmp.
        cache: keeps the encoded images that were read; None: they are read again.
    """

    image_shape = (None, None, 3)
    channels = 3
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    cache_dir = None
    cache: EncodedCache | None = None

    def __init__(self, config: DataConfig, *, leave_out: Collection[str] = ()) -> None:
        check_image_folder(config.name)
        self.name = config.name
        named = isinstance(config.validation, str) and Path(config.validation).name == config.validation
        validation = [config.validation] if named and not config.validation.startswith(".") else []
        self._remote, self.unreadable = is_remote(config.folder), None
        folder_class = ImageFolder
        if self._remote:
            from scarlet_tf.data.remote_folder import RemoteImageFolder as folder_class
        self._folder = folder = folder_class(config.folder, more_splits=validation, leave_out=leave_out)
        test = next((name for name in FOLDER_TEST_SPLITS if name in folder.splits), None)
        self._splits = {"train": "train" if "train" in folder.splits else None, "test": test}
        if isinstance(config.validation, str):
            full = [name for name in folder.splits if name != "train" and any(folder.classes(name).values())]
            self._splits |= split_for_validation(config, full)
        used = [folder.classes(split) for split in set(filter(None, self._splits.values()))]
        counts = sum((Counter({name: len(paths) for name, paths in classes.items()}) for classes in used), Counter())
        self.class_names = sorted(counts)
        self.has_bmps = any(
            path.lower().endswith(".bmp")
            for split in set(filter(None, self._splits.values()))
            for path, _ in folder.examples(split)
        )
        self.empty_classes = sorted({name for classes in used for name in classes} - set(counts))
        self.strays = [
            str(folder.root / split / name) for split in self._splits.values() if split for name in folder.strays(split)
        ]

    @property
    def splits(self) -> list[str]:
        """The names "train" and "test", and that of a further split used for validation."""
        return list(self._splits)

    def stored_split(self, split: str) -> str | None:
        """Return the name of the folder that holds a split; None if there is no such folder."""
        return self._splits[split]

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

        return tf.data.Dataset.from_tensor_slices((self._paths(split), self.labels(split)))

    def at(self, split: str):
        """Return a function from numbers of elements, int (n,), to the elements, as arrays (n,) of their parts."""
        import tensorflow as tf

        paths, labels = self._paths(split), tf.constant(self.labels(split))
        return lambda numbers: (tf.gather(paths, numbers), tf.gather(labels, numbers))

    def read(self, path, label):
        """Return (encoded image, label) of an element."""
        import tensorflow as tf

        if self.cache is None and not self._remote:
            return tf.io.read_file(path), label
        return tf.ensure_shape(tf.numpy_function(self._read, [path], tf.string), ()), label

    def _read(self, path: bytes | np.ndarray) -> bytes:
        """Return the content of a file, from the cache if there is one."""
        path = os.fsdecode(np.asarray(path).item())
        try:
            if self.cache is None:
                return as_path(path).read_bytes()
            key = json.dumps([os.path.relpath(path, self._folder.root), *self._folder.state(path)])
            return fetch(self.cache, [key], lambda _: [as_path(path).read_bytes()])[0]
        except OSError as error:
            if self._remote:
                self.unreadable = error
            raise

    def encoded_bytes(self, split: str) -> int:
        """Return the size of the files of a split."""
        if self._splits[split] is None:
            return 0
        return sum(self._folder.state(path)[0] or 0 for path, _ in self._folder.examples(self._splits[split]))

    def state(self, split: str) -> list:
        """Return a value that changes with the files of a split: path, size and time of each."""
        return [[path, *self._folder.state(path)] for path, _ in self._folder.examples(self._splits[split])]

    def _paths(self, split: str):
        import tensorflow as tf

        return tf.constant([os.fsencode(path) for path, _ in self._folder.examples(self._splits[split])], tf.string)
