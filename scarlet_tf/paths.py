"""Paths that a user gives: local ones, and remote ones with a scheme, such as gs://bucket/run or s3://bucket/run.

`pathlib.Path("gs://bucket")` silently names the local folder `gs:`. So every path that may be remote goes through
`as_path`, or through `local_copy` where a library needs a local file. Does not import fsspec for local paths.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class RemoteError(OSError):
    """Error for a remote file system that fails every try; the message names the path and the last failure."""


def is_remote(path: str | os.PathLike) -> bool:
    """Return whether a path is remote: whether it begins with a scheme, such as "gs://"."""
    return bool(_SCHEME.match(os.fspath(path)))


def as_path(path: str | os.PathLike) -> Path | RemotePath:
    """Return a `pathlib.Path`, or for a path with a scheme a `RemotePath`, which has the same methods.

    Raises:
        ValueError: for an unknown scheme, or one whose Python package is missing.
    """
    if not is_remote(path):
        return Path(path)
    from scarlet_tf.remote import RemotePath

    return RemotePath.of(os.fspath(path))


def local_copy(path: str | os.PathLike) -> Path:
    """Return a local path as it is; copy a remote file or folder to a temporary folder, once for each process.

    For libraries that open files themselves. The copy keeps the name, and is deleted when the process ends; later
    changes of the remote file are not seen.

    Raises:
        FileNotFoundError: if there is nothing at a remote path.
        ValueError: as `as_path`.
    """
    return _fetched(os.fspath(path)) if is_remote(path) else Path(path)


def check_local(path: str | os.PathLike, *, why: str) -> None:
    """Raise ValueError for a remote path.

    Args:
        why: the reason, and what to do instead; it follows "expected a local path, because".
    """
    if is_remote(path):
        raise ValueError(f"{os.fspath(path)}: expected a local path, because {why}")


def no_such(path: str | os.PathLike, *, what: str = "file") -> str:
    """Return the message for a path at which nothing is: "no such file: runs/a/modle.keras, nearest is ...".

    Args:
        path: a path with nothing there; the nearest is sought for a local one only.
        what: what was expected there.
    """
    return f"no such {what}: {os.fspath(path)}{nearest_path(path)}"


def nearest_path(path: str | os.PathLike) -> str:
    """Return ", nearest is ..." with the existing path whose names are most alike, or "" if there is none like it."""
    if is_remote(path):
        return ""
    *_, first = [Path(path), *Path(path).parents]
    found = _nearest(first, Path(path).relative_to(first).parts)
    return f", nearest is {found}" if found not in (None, Path(path)) else ""


def _nearest(folder: Path, parts: Sequence[str]) -> Path | None:
    if not parts:
        return folder
    name, *others = parts
    names = []
    with contextlib.suppress(OSError):  # not a folder, or one that may not be read
        exists = (folder / name).exists()
        names = [name] if exists else difflib.get_close_matches(name, [path.name for path in folder.iterdir()])
    return next((found for each in names if (found := _nearest(folder / each, others))), None)


@functools.cache
def _fetched(text: str) -> Path:
    remote = as_path(text)
    target = Path(_copies().name, *remote.parts).with_name(remote.name)
    remote.fetch(target)
    return target


@functools.cache
def _copies() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="scarlet_tf-")
