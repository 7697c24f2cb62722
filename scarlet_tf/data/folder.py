"""Folders of images, ROOT/SPLIT/CLASS/IMAGE: which files are images, of which class and in which order.

Files and folders whose names begin with a dot are ignored. Images in sub-folders of a class belong to the class. Links
to files and folders are followed. Needs no TensorFlow.
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

# TensorFlow decodes these by their content, whatever the suffix says.
DECODABLE = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp")
# Images as well, which TensorFlow does not decode: read as damaged ones, so that they are not silently missing.
OTHER_IMAGES = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm")
_IMAGES = DECODABLE + OTHER_IMAGES


class ImageFolder:
    """The images of a folder by split and class.

    Attributes:
        root: the folder.
        splits: the sub-folders that are splits: "train", those of FOLDER_TEST_SPLITS, and what the caller names.

    Raises:
        DataError: for a split that is a file or a link to nothing. Every method raises it for links to nothing and
            for names of classes that are not text; and OSError for folders that cannot be read.
    """

    def __init__(
        self, root: str | os.PathLike, *, more_splits: Collection[str] = (), leave_out: Collection[str] = ()
    ) -> None:
        """Open a folder.

        Args:
            more_splits: further names of splits, which need not be there.
            leave_out: paths of images to ignore, as `classes` gives them.
        """
        self.root = Path(root)
        self._leave_out = frozenset(leave_out)
        names = dict.fromkeys(("train", *FOLDER_TEST_SPLITS, *more_splits))
        self.splits = tuple(name for name in names if self._is_split(name))

    def _is_split(self, name: str) -> bool:
        path = self.root / name
        if not os.path.lexists(path):
            return False
        if not path.is_dir():
            raise DataError(f"{path} is no folder: expected {path}/CLASS/ with images")
        return True

    @functools.cache  # noqa: B019 - lives as long as the data set
    def classes(self, split: str) -> Mapping[str, tuple[str, ...]]:
        """Return the sorted paths of the images of every class folder, also of those that have none, by class."""
        return {
            _class_name(self.root / split, name): tuple(path for path in paths if path not in self._leave_out)
            for name, paths in self._found(split)[0].items()
        }

    def strays(self, split: str) -> list[str]:
        """Return the names of images that lie beside the class folders and so belong to none."""
        return self._found(split)[1]

    @functools.cache  # noqa: B019
    def examples(self, split: str) -> list[tuple[str, str]]:
        """Return (path, class name) of every image, shuffled by the split's name: the order of the data set."""
        found = [(path, name) for name, paths in sorted(self.classes(split).items()) for path in paths]
        random.Random(split).shuffle(found)
        return found

    @functools.cached_property
    def identity(self) -> str:
        """Hex digest of which images these are, wherever the folder lies: their relative paths and sizes."""
        paths = [path for split in self.splits for images in self.classes(split).values() for path in images]
        content = [[os.path.relpath(path, self.root), file_state(path)[0]] for path in sorted(paths)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @functools.cache  # noqa: B019
    def _found(self, split: str) -> tuple[dict[str, list[str]], list[str]]:
        top = os.path.join(self.root, split)
        above = (_same_folder(self.root), _same_folder(top))
        folders, strays = _visible(top)
        return {name: sorted(_images_under(os.path.join(top, name), above)) for name in folders}, strays


def _visible(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of a folder's sub-folders and of its images, sorted, without hidden ones."""
    folders, images = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            linked = entry.is_symlink()
            nothing = linked and not os.path.exists(entry.path)
            if os.path.isdir(entry.path) if linked else entry.is_dir():
                folders.append(entry.name)
            elif entry.name.lower().endswith(_IMAGES):
                if nothing or entry.is_file():  # and no pipe, which would be waited for
                    images.append(entry.name)
            elif nothing:
                raise DataError(f"{entry.path} is a link to nothing: {os.readlink(entry.path)}")
    return sorted(folders), sorted(images)


def _images_under(folder: str, above: tuple[tuple[int, int], ...]) -> list[str]:
    """Return the paths of all images in a folder and its sub-folders; links back to a folder above end there."""
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
        raise DataError(f"a class is called {os.fsencode(name)!r} in {split}, which is not UTF-8: rename it") from None
    if len(text.splitlines()) != 1:
        raise DataError(f"a class is called {text!r} in {split}: a name is one line, rename it")
    return text


def file_state(path: str) -> tuple[int, int] | tuple[None, None]:
    """Return a file's size in bytes and its time in nanoseconds; None for a link to nothing."""
    try:
        status = os.stat(path)
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns
