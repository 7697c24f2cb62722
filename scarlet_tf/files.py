"""Atomic writes, locks on run directories, and checks of paths before any work is done."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from scarlet_tf.paths import as_path, check_local, is_remote, nearest_path

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath


def write_atomically(path: str | os.PathLike, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write a file atomically: to a temporary file beside `path`, flushed to disk, then renamed.

    A remote file is uploaded in one go, which gs:// and s3:// do atomically; see `committed` for other file systems.

    Args:
        path: the file; its folder is created if necessary.
        content: bytes, text (written as UTF-8), or a function that writes to the open file.
    """
    path = as_path(path)
    if not isinstance(path, Path):
        path.write_bytes(_in_memory(content))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A PID would not do: processes on machines that share the folder may have the same one.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with naming(path):
            with open(temporary, "wb") as file:
                if callable(content):
                    content(file)
                else:
                    file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _in_memory(content: bytes | str | Callable[[BinaryIO], object]) -> bytes:
    if not callable(content):
        return content.encode() if isinstance(content, str) else content
    file = io.BytesIO()
    content(file)
    return file.getvalue()


@contextlib.contextmanager
def replaced_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path with the same file name, and rename the file written there to `path` at the end.

    For writers that need a path with the right suffix. Creates the folder of `path` if necessary. After an exception,
    `path` is unchanged. A remote file is uploaded from a temporary folder.
    """
    path = as_path(path)
    if not isinstance(path, Path):
        with tempfile.TemporaryDirectory() as aside:
            yield Path(aside) / path.name
            path.write_bytes((Path(aside) / path.name).read_bytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as aside:
        temporary = Path(aside) / path.name
        with naming(path):
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)


def remove_folder(folder: Path | RemotePath) -> None:
    """Delete a folder and all that is in it. A remote one may be missing."""
    if isinstance(folder, Path):
        shutil.rmtree(folder)
    else:
        folder.rmtree()


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Add `path` to errors that say that a disk is full: those of writing to an open file name no file."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def is_disk_full(error: OSError) -> bool:
    """Return whether an error means that no more can be written: full disk, exceeded quota, or file size limit."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def waiting_lock(path: str | os.PathLike) -> Iterator[None]:
    """Lock a file, which is created if necessary, for the duration of the block; wait until other processes release it.

    For work that several processes may start at once and only one of them needs to do.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class FolderInUseError(ValueError):
    """Error for a folder that another run is writing to; the message names both."""


_LOCK = ".lock"


@contextlib.contextmanager
def locked_folder(folder: str | os.PathLike) -> Iterator[None]:
    """Lock a folder against other runs until the block or the process ends; create the folder if necessary.

    The kernel holds the lock (flock on the file .lock) and releases it however the process dies. On a file system
    without locks, a warning is printed and nothing is locked. A folder without write permission is not locked either.
    A folder that was created here and is still empty at the end is removed. A remote folder has no lock: a warning is
    printed.

    Raises:
        FolderInUseError: if another run holds the lock.
    """
    if is_remote(folder):
        _warn_of_no_lock(folder, "remote file systems have no locks")
        yield
        return
    folder = Path(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    descriptor = _take_lock(path, folder=folder)
    try:
        yield
    finally:
        if descriptor is not None:
            # Before the lock is released: a process that has already opened the file then sees that it is gone.
            path.unlink(missing_ok=True)
            os.close(descriptor)
        if made:
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def _take_lock(path: Path, *, folder: Path) -> int | None:
    """Return a file descriptor that holds the lock, or None if the folder cannot be locked."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                return None
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            in_use = _in_use(folder, descriptor)
            os.close(descriptor)
            raise in_use from None
        except OSError as error:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            _warn_of_no_lock(folder, error.strerror)
            return None
        if _same_file(path, descriptor):
            record = {"pid": os.getpid(), "host": socket.gethostname()}
            with contextlib.suppress(OSError):  # the record is only for error messages
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(record).encode(), 0)
            return descriptor
        os.close(descriptor)  # the holder removed the file while this process opened it


def _warn_of_no_lock(folder: str | os.PathLike, reason: str) -> None:
    print(f"warning: {folder} cannot be locked ({reason}): make sure that no other run writes to it", file=sys.stderr)


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _in_use(folder: Path, descriptor: int) -> FolderInUseError:
    try:
        record = json.loads(os.pread(descriptor, 1000, 0))
        holder = f"process {record['pid']} on {record['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        holder = "another process"
    return FolderInUseError(f"{folder} is in use by {holder}: wait until it ends, or choose another run directory")


def check_free(folder: str | os.PathLike) -> None:
    """Raise FolderInUseError early if another run holds a folder's lock; only `locked_folder` takes the lock."""
    if is_remote(folder):
        return
    folder = Path(folder)
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:  # no run, or no permission to see one
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(folder, descriptor) from None
    except OSError:  # a file system without locks
        return
    finally:
        os.close(descriptor)


def expand_user(path: str | os.PathLike) -> Path:
    """Replace a leading ~ by the home folder; raise ValueError if none is known, as in a container with a bare uid."""
    try:
        return as_path(path).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{path}: cannot expand ~, as no home folder is known: set HOME, or use a path without ~"
        ) from None


def user_cache() -> Path:
    """Return the project's folder in the user's cache."""
    return expand_user(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "scarlet_tf"


def check_output_file(path: str | os.PathLike) -> None:
    """Raise OSError if a result could not be written to this file later; a missing folder is no error."""
    path = as_path(path)
    _check_writable(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")


def check_new_folder(path: str | os.PathLike) -> None:
    """Raise OSError if a folder cannot be created here, or already holds something; ValueError for a remote one."""
    check_local(path, why="TensorFlow writes this folder itself: copy it from there")
    path = Path(path)
    _check_writable(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not an empty folder")


def check_run_folder(path: str | os.PathLike) -> None:
    """Raise OSError if a run directory can be neither created nor written to, or is an image folder."""
    path = as_path(path)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path} is a file: expected a folder, or a name for a new one")
    if (path / "train").is_dir():
        raise FileExistsError(f"{path} is an image folder (it has train/): choose another run directory")
    _check_writable(path / _LOCK)


def _check_writable(path: Path | RemotePath) -> None:
    """Raise OSError unless the nearest existing folder above `path` is writable.

    Access to a remote folder is tried, by a small file that is deleted again.
    """
    if not isinstance(path, Path):
        trial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        trial.write_bytes(b"")
        trial.unlink(missing_ok=True)
        return
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise NotADirectoryError(f"{path} cannot be written: {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written: no permission to write to the folder {above}")


def check_contains(folder: str | os.PathLike, name: str, *, what: str) -> None:
    """Raise FileNotFoundError unless a folder contains the file `name`, as every `what` does."""
    path = as_path(folder)
    if not (path / name).is_file():
        absent = isinstance(path, Path) and not path.is_dir()  # a remote folder is not there until it has a file
        why = f"there is no such folder{nearest_path(path)}" if absent else f"it has no {name}"
        raise FileNotFoundError(f"no {what} in {folder}: {why}")
