"""Encoded images that are kept after they were first read, in memory or in a folder on a fast disk."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import secrets
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from scarlet_tf.data.data_config import DataError
from scarlet_tf.files import expand_user
from scarlet_tf.paths import is_remote

MEMORY = "memory"
_CGROUP = Path("/sys/fs/cgroup")  # as a container sees its own


class EncodedCache(Protocol):
    """Protocol for encoded images by key: `get` returns None for one that was not put."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, image: bytes) -> None: ...


def fetch(cache: EncodedCache, keys: Sequence[str], read: Callable[[list[str]], Sequence[bytes]]) -> list[bytes]:
    """Return encoded images by key, from the cache, or else from `read`, which gets the keys that are not there."""
    found = {key: cache.get(key) for key in keys}
    if missing := [key for key, image in found.items() if image is None]:
        for key, image in zip(missing, read(missing), strict=True):
            found[key] = bytes(image)
            cache.put(key, found[key])
    return [found[key] for key in keys]


class MemoryCache:
    """Images in this process's memory."""

    def __init__(self) -> None:
        self._images: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._images.get(key)

    def put(self, key: str, image: bytes) -> None:
        self._images[key] = image


class FolderCache:
    """Images in a file each, with a checksum: one that a crash cut short counts as missing.

    Processes may share the folder. What a full disk does not take is read from the dataset again.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        checksum, image = content[:4], content[4:]
        return image if checksum == _checksum(image) else None

    def put(self, key: str, image: bytes) -> None:
        path = self._path(key)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            try:
                temporary.write_bytes(_checksum(image) + image)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(os.fsencode(key)).hexdigest()[:32]
        return self._folder / name[:2] / name[2:]


def _checksum(image: bytes) -> bytes:
    return zlib.crc32(image).to_bytes(4, "little")


def check_cache(where: str | None) -> None:
    """Check a value of --cache without opening the dataset.

    Args:
        where: None; "memory"; or a folder, which need not exist.

    Raises:
        DataError: for a remote path, a folder that cannot be written to, and a name that looks like "memory".
    """
    if where in (None, MEMORY):
        return
    if not where:
        raise DataError("--cache='': expected memory or a folder")
    if is_remote(where):
        raise DataError(f"--cache={where}: expected memory or a folder on a local disk, got a remote path")
    folder = expand_user(where)
    if os.path.basename(where) == where and not folder.exists() and difflib.get_close_matches(where.lower(), [MEMORY]):
        raise DataError(
            f"--cache={where}: expected memory or a folder, nearest is 'memory'; for a new folder, ./{where}"
        )
    above = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise DataError(f"--cache={where}: expected memory or a folder, but {above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise DataError(f"--cache={where}: no permission to write to the folder {above}")


def open_cache(where: str, *, name: str, fingerprint: str, encoded_bytes: int) -> EncodedCache:
    """Return a cache for the encoded images of a dataset.

    Args:
        where: "memory", or a folder, which is created if necessary.
        name: of the dataset, for the message.
        fingerprint: of the dataset; its images have a sub-folder of their own.
        encoded_bytes: size of all images.

    Raises:
        DataError: if the images do not fit into the memory that is available, or the folder cannot be made.
    """
    if where != MEMORY:
        try:
            return FolderCache(expand_user(where) / fingerprint[:16])
        except OSError as error:
            raise DataError(f"--cache={where}: cannot make the folder {error.filename}: {error.strerror}") from error
    available = available_memory()
    if encoded_bytes > available:
        raise DataError(
            f"--cache=memory needs {encoded_bytes / 1e9:.1f} GB for the encoded images of {name!r}, but only "
            f"{available / 1e9:.1f} GB are available: use --cache=FOLDER"
        )
    return MemoryCache()


def available_memory() -> int:
    """Return the bytes that can be allocated without swapping, within the limit of a container (Linux).

    Where the system does not say, return all memory that it has.
    """
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    with contextlib.suppress(OSError, ValueError):  # ValueError: "max", no limit
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        available = min(available, max(0, limit - used))
    return available
