"""Image folders, ROOT/SPLIT/CLASS/IMAGE: which files are images, their classes and their order.

Files and folders whose names begin with a dot are ignored. Images in sub-folders of a class belong to the class. Links
to files and folders are followed. Does not need TensorFlow.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
from collections.abc import Collection, Mapping
from pathlib import Path

from scarlet_tf.data.data_config import FOLDER_TEST_SPLITS, DataError
from scarlet_tf.paths import as_path

# TensorFlow decodes these by their content and ignores the suffix.
DECODABLE = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp")
# Images that TensorFlow cannot decode. They count as damaged, so that they are not silently missing.
OTHER_IMAGES = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm")
IMAGES = DECODABLE + OTHER_IMAGES


class ImageFolder:
    """The images of a folder by split and class.

    Attributes:
        root: the folder.
        splits: the sub-folders that are splits: "train", those of FOLDER_TEST_SPLITS, and those that the caller names.

    Raises:
        DataError: if a split is a file or a broken link. Every method raises it for broken links without the suffix of
            an image, and for class names that are not one line of UTF-8; and OSError for unreadable folders.
    """

    def __init__(
        self, root: str | os.PathLike, *, more_splits: Collection[str] = (), leave_out: Collection[str] = ()
    ) -> None:
        """Open a folder.

        Args:
            root: the folder.
            more_splits: names of further splits, which need not exist.
            leave_out: paths of images to ignore, as `classes` returns them.
        """
        self.root = as_path(root)
        self._leave_out = frozenset(leave_out)
        names = dict.fromkeys(("train", *FOLDER_TEST_SPLITS, *more_splits))
        self.splits = tuple(name for name in names if self._is_split(name))

    def _is_split(self, name: str) -> bool:
        path = self.root / name
        if not os.path.lexists(path):
            return False
        if not path.is_dir():
            raise DataError(f"{path} is not a folder: expected {path}/CLASS/ with images")
        return True

    @functools.cache  # noqa: B019 - lives as long as the dataset
    def classes(self, split: str) -> Mapping[str, tuple[str, ...]]:
        """Return the sorted image paths of every class folder, including empty ones, by class."""
        return {
            _class_name(self.root / split, name): tuple(path for path in paths if path not in self._leave_out)
            for name, paths in self._found(split)[0].items()
        }

    def strays(self, split: str) -> list[str]:
        """Return the names of images that lie beside the class folders and so belong to no class."""
        return self._found(split)[1]

    @functools.cache  # noqa: B019
    def examples(self, split: str) -> list[tuple[str, str]]:
        """Return (path, class name) of every image in the dataset's order, a shuffle seeded by the split's name."""
        found = [(path, name) for name, paths in sorted(self.classes(split).items()) for path in paths]
        random.Random(split).shuffle(found)
        return found

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hex digest of the images' relative paths and sizes, independent of where the folder is."""
        paths = [path for split in self.splits for images in self.classes(split).values() for path in images]
        content = [[os.path.relpath(path, self.root), self.state(path)[0]] for path in sorted(paths)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def state(self, path: str) -> tuple[int, int] | tuple[None, None]:
        """Return a file's size in bytes and modification time in nanoseconds, or (None, None) for a broken link."""
        try:
            status = os.stat(path)
        except OSError:
            return None, None
        return status.st_size, status.st_mtime_ns

    @functools.cache  # noqa: B019
    def _found(self, split: str) -> tuple[dict[str, list[str]], list[str]]:
        top = os.path.join(self.root, split)
        above = (_same_folder(self.root), _same_folder(top))
        folders, strays = _visible(top)
        return {name: sorted(_images_under(os.path.join(top, name), above)) for name in folders}, strays


def _visible(folder: str) -> tuple[list[str], list[str]]:
    """Return the sorted names of a folder's sub-folders, and of its images, without hidden ones."""
    folders, images = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            linked = entry.is_symlink()
            nothing = linked and not os.path.exists(entry.path)
            if os.path.isdir(entry.path) if linked else entry.is_dir():
                folders.append(entry.name)
            elif entry.name.lower().endswith(IMAGES):
                if nothing or entry.is_file():  # not a pipe: opening it would block
                    images.append(entry.name)
            elif nothing:
                raise DataError(f"{entry.path} is a broken symbolic link to {os.readlink(entry.path)}")
    return sorted(folders), sorted(images)


def _images_under(folder: str, above: tuple[tuple[int, int], ...]) -> list[str]:
    """Return the paths of all images in a folder and its sub-folders, ignoring links back to a parent folder."""
    here = _same_folder(folder)
    if here in above:
        return []
    folders, images = _visible(folder)
    below = [path for name in folders for path in _images_under(os.path.join(folder, name), (*above, here))]
    return [os.path.join(folder, name) for name in images] + below


def _same_folder(path: str | os.PathLike) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _class_name(split: Path, name: str) -> str:
    try:
        text = os.fsencode(name).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"class folder {os.fsencode(name)!r} in {split} must have a name in UTF-8: rename it") from None
    if len(text.splitlines()) != 1:
        raise DataError(f"class folder {text!r} in {split} must have a name of one line: rename it")
    return text
