"""Writing a file whole or not at all, and finding out beforehand that it cannot be."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | os.PathLike, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Writes under a temporary name beside `path`, flushes to the disk, then renames. Makes the folder if need be.

    Args:
        content: bytes, text (as UTF-8), or a function that writes to the open file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # machines that share it may share PIDs
    try:
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


@contextlib.contextmanager
def replaced_whole(path: str | os.PathLike) -> Iterator[Path]:
    """For writers that want a path with the right suffix: gives one, and renames what is there to `path` at the end.

    Makes the folder of `path` where there is none. After an exception `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as aside:
        temporary = Path(aside) / path.name
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)


def user_cache() -> Path:
    """The project's folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "scarlet_tf"


def require_place(path: str | os.PathLike) -> None:
    """Raises OSError where no file can be written to, before the work whose result it is; a folder can be made."""
    path = Path(path)
    _require_room(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")


def require_new_folder(path: str | os.PathLike) -> None:
    """Raises OSError where a folder cannot be made, or be written to without mixing it with what is there."""
    path = Path(path)
    _require_room(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not an empty folder")


def _require_room(path: Path) -> None:
    """OSError unless the nearest folder above `path` that is there can be written to."""
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise NotADirectoryError(f"{path} cannot be written: {above} is no folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written: no permission to write to the folder {above}")


def require_holding(folder: str | os.PathLike, name: str, *, what: str) -> None:
    """Raises FileNotFoundError where a folder has not the file, by its name, that makes it `what`."""
    if not (Path(folder) / name).is_file():
        raise FileNotFoundError(f"no {what} in {folder}: it has no {name}")
