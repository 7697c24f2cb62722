"""Files that are read whole or not at all, on local and remote file systems.

A local file is renamed into place. A remote file system has no rename, and may show half a file after a failure. So a
remote file is written under its own name, and then a small second file beside it, the marker NAME.complete, with its
length and SHA-256. A file without a marker that agrees counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import os

from scarlet_tf.files import write_atomically
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


def is_committed(path: str | os.PathLike) -> bool:
    """Return whether `read_committed` would return a file's content."""
    try:
        read_committed(path)
    except (FileNotFoundError, IncompleteError):
        return False
    return True
