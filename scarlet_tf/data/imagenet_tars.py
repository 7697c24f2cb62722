"""The two tars of ImageNet (ILSVRC 2012): whether they are whole, and where in them every image lies.

The training tar holds one tar a class, which holds the JPEG files. No tar is compressed, so every image is a range of
bytes of the outer file and is read in place, in any order.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from scarlet_tf.data.data_config import DataError
from scarlet_tf.files import expand_user
from scarlet_tf.progress import progress

_VALIDATION_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
_BLOCK = 512  # bytes: a header, and what the content of a file is padded to


@dataclasses.dataclass(frozen=True)
class PublishedTar:
    """A tar as ImageNet publishes it."""

    name: str
    num_bytes: int
    num_images: int


PUBLISHED = {
    "train": PublishedTar("ILSVRC2012_img_train.tar", 147_897_477_120, 1_281_167),
    "validation": PublishedTar("ILSVRC2012_img_val.tar", 6_744_924_160, 50_000),
}


@dataclasses.dataclass(frozen=True)
class TarImages:
    """The images of a tar.

    Attributes:
        path: the tar.
        names: file names, bytes (n,).
        labels: int (n,).
        offsets, sizes: of the encoded images in the tar, in bytes, int64 (n,).
    """

    path: Path
    names: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def read(self, file: BinaryIO, number: int) -> bytes:
        """Return an encoded image from the tar, opened as `file`."""
        return os.pread(file.fileno(), int(self.sizes[number]), int(self.offsets[number]))

    def digest(self) -> str:
        """Return a hex digest of the names, labels and places of all images."""
        digest = hashlib.sha256()
        for array in (self.names, self.labels, self.offsets, self.sizes):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def find_tars(folder: str | os.PathLike) -> dict[str, Path]:
    """Return the paths of the tars by split; raise DataError, which names what is missing, if one is not there."""
    folder = expand_user(folder)
    if missing := [tar.name for tar in PUBLISHED.values() if not (folder / tar.name).is_file()]:
        expected = " and ".join(f"{tar.name} ({tar.num_bytes:,} bytes)" for tar in PUBLISHED.values())
        raise DataError(
            f"no {' and no '.join(missing)} in {folder}: expected {expected}, from https://image-net.org/download-images"
        )
    return {split: folder / tar.name for split, tar in PUBLISHED.items()}


def describe_sizes(tars: dict[str, Path]) -> list[str]:
    """Return a line for each tar whose size is not that of the published one."""
    return [
        f"{path} has {path.stat().st_size:,} bytes; ImageNet's has {PUBLISHED[split].num_bytes:,}"
        for split, path in tars.items()
        if path.stat().st_size != PUBLISHED[split].num_bytes
    ]


def list_images(tars: dict[str, Path], classes: Sequence[str], validation_labels: Sequence[str]) -> dict:
    """Return the `TarImages` of each split, after reading the headers of all files in the tars.

    Args:
        tars: see `find_tars`.
        classes: the classes (WordNet IDs such as "n01440764"), in label order.
        validation_labels: the class of each validation image, by the number in its name less one.

    Raises:
        DataError: if a tar is cut short, lacks a class or a validation image, or has the size of ImageNet's and not
            its number of images.
    """
    images = {
        "train": _list_train(tars["train"], classes),
        "validation": _list_validation(tars["validation"], classes, validation_labels),
    }
    for split, published in PUBLISHED.items():
        path, found = tars[split], len(images[split])
        if path.stat().st_size == published.num_bytes and found != published.num_images:
            raise DataError(f"{path} is damaged: expected {published.num_images:,} images, found {found:,}")
    return images


def _list_train(path: Path, classes: Sequence[str]) -> TarImages:
    labels = {f"{name}.tar": label for label, name in enumerate(classes)}
    found, seen = [], set()
    with path.open("rb") as file:
        outer = _files(file, 0, path.stat().st_size, what=str(path))
        for tar, start, size in progress(outer, "list training images", unit="tar", total=len(classes)):
            if tar not in labels:
                raise DataError(f"{path}: {tar} is no class of ImageNet, such as {classes[0]}.tar")
            seen.add(tar)
            inner = _files(file, start, start + size, what=f"{tar} in {path}")
            found += [(name, labels[tar], *place) for name, *place in inner]
    if missing := [tar for tar in labels if tar not in seen]:
        raise DataError(f"{path} lacks {len(missing)} of {len(classes)} classes, such as {missing[0]}")
    return _as_arrays(path, found)


def _list_validation(path: Path, classes: Sequence[str], validation_labels: Sequence[str]) -> TarImages:
    labels, found = {name: label for label, name in enumerate(classes)}, {}
    with path.open("rb") as file:
        for name, *place in _files(file, 0, path.stat().st_size, what=str(path)):
            match = _VALIDATION_NAME.fullmatch(name)
            number = int(match[1]) if match else 0
            if not 1 <= number <= len(validation_labels):
                raise DataError(f"{path}: {name} is no validation image, such as ILSVRC2012_val_00000001.JPEG")
            found[number] = (name, labels[validation_labels[number - 1]], *place)
    # The names go from 1 upwards: a gap is an image that is missing.
    if missing := [number for number in range(1, max(found, default=1) + 1) if number not in found]:
        raise DataError(f"{path} lacks {len(missing)} images, such as ILSVRC2012_val_{missing[0]:08}.JPEG")
    return _as_arrays(path, [found[number] for number in sorted(found)])


def _as_arrays(path: Path, found: list[tuple]) -> TarImages:
    names, labels, offsets, sizes = zip(*found, strict=True)
    return TarImages(path, np.array(names, "S"), *(np.array(part, np.int64) for part in (labels, offsets, sizes)))


def _files(file: BinaryIO, start: int, end: int, *, what: str) -> Iterator[tuple[str, int, int]]:
    """Yield (name, offset, size) of the files in a tar; raise DataError if the tar is not whole.

    Args:
        file: an open file that holds the tar; its position may be changed between two files.
        start, end: the bytes of `file` that are the tar.
        what: the tar, for messages.
    """
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                if member.offset_data + member.size > end:
                    raise tarfile.ReadError(f"{member.name} is incomplete")
                if member.isfile():
                    yield PurePosixPath(member.name).name, member.offset_data, member.size
            file.seek(archive.offset)
            if archive.offset + _BLOCK > end or file.read(_BLOCK).strip(b"\0"):
                raise tarfile.ReadError("its end is missing")
    except tarfile.TarError as error:
        raise DataError(f"{what} is not a whole tar ({error}): copy or download it again") from error
