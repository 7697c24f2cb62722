"""Files that are read whole or not at all, on local and remote file systems.

A local file is renamed into place. A remote file system has no rename, and may show half a file after a failure. So a
remote file is written under its own name, and then a small second file beside it, the marker NAME.complete, with its
length and SHA-256. A file without a marker that agrees counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from scarlet_tf.files import check_free, write_atomically
from scarlet_tf.paths import as_path, is_remote

MARKER = ".complete"


class IncompleteError(ValueError):
    """Error for a remote file that does not agree with its marker; the message says how."""


def write_committed(path: str | os.PathLike, content: bytes) -> None:
    """Write a file so that `read_committed` returns all of it or does not find it."""
    write_atomically(path, content)
    if is_remote(path):
        digest = hashlib.sha256(content).hexdigest()
        write_atomically(f"{os.fspath(path)}{MARKER}", json.dumps({"bytes": len(content), "sha256": digest}))


def read_committed(path: str | os.PathLike) -> bytes:
    """Read a file that `write_committed` wrote.

    Raises:
        FileNotFoundError: if there is no such file, or no marker.
        IncompleteError: if file and marker disagree.
    """
    if not is_remote(path):
        return as_path(path).read_bytes()
    try:
        marker = json.loads(as_path(f"{os.fspath(path)}{MARKER}").read_bytes())
    except ValueError:
        marker = None
    if not isinstance(marker, dict) or marker.keys() != {"bytes", "sha256"}:
        raise IncompleteError("its marker is cut short")
    content = as_path(path).read_bytes()
    if len(content) != marker["bytes"]:
        raise IncompleteError(f"it has {len(content)} bytes, and its marker says {marker['bytes']}")
    if hashlib.sha256(content).hexdigest() != marker["sha256"]:
        raise IncompleteError("its SHA-256 is not that in its marker")
    return content


def copy_run(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copy a local run directory to a remote path, with the markers without which the run would not resume there.

    Hidden files are left out: locks, and what killed writes have left.

    Args:
        source: the run directory, of a run that is not running.
        target: the new run directory. Call this again if it was interrupted.

    Raises:
        FolderInUseError: if a run writes to `source`.
        ValueError: if `target` is not remote.
        NotADirectoryError: if `source` is not a folder.

    Example:
        >>> copy_run("runs/supernet", "gs://bucket/runs/supernet")
    """
    source = Path(source)
    if not is_remote(target):
        raise ValueError(f"{os.fspath(target)} is local: expected a remote path, such as gs://bucket/run")
    if not source.is_dir():
        raise NotADirectoryError(f"{source} is not a folder: expected a local run directory")
    check_free(source)
    for path in sorted(source.rglob("*"), reverse=True):  # the newest checkpoint first, in case this is interrupted
        if path.is_file() and not path.name.startswith("."):
            copy = write_atomically if path.parent.name == "tensorboard" else write_committed
            copy(as_path(target) / path.relative_to(source).as_posix(), path.read_bytes())


def is_committed(path: str | os.PathLike) -> bool:
    """Return whether `read_committed` would return a file's content."""
    try:
        read_committed(path)
    except (FileNotFoundError, IncompleteError):
        return False
    return True
