"""Remote files through fsspec, with retries. Imported only for paths with a scheme.

`etils.epath` knows four schemes only, and reaches them through TensorFlow wherever that is installed: it would load it
before flags are checked, and TensorFlow 2.21 has no file system for s3://.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import fsspec

from scarlet_tf.paths import RemoteError

PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before the second and later tries
# Errors that another try does not change.
_FINAL = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


class RemotePath(PurePosixPath):
    """A path with a scheme, with the methods of `pathlib.Path` that runs and data need.

    An operation that fails is tried again after 0.5, 1, 2 and 4 seconds, unless the error says that this is useless,
    such as that there is no such file. Folders need not be made: writing a file makes them.

    Every method raises RemoteError if all tries fail, and FileNotFoundError or PermissionError at once, or another
    OSError for what the file system cannot do.
    """

    @classmethod
    def of(cls, text: str) -> RemotePath:
        """Return the path of a text such as "gs://bucket/run".

        Raises:
            ValueError: for an unknown scheme, one whose Python package is missing (names what to install), a path
                without a bucket or host, or one with "::", by which fsspec chains file systems.
        """
        if "::" in text:
            raise ValueError(f"{text}: expected a path without '::'")
        scheme, _, place = text.partition("://")
        if not place or place.startswith("/"):
            raise ValueError(f"{text}: expected a bucket or host after {scheme}://, or a local path without a scheme")
        try:
            fsspec.get_filesystem_class(scheme)
        except ImportError as error:
            raise ValueError(f"{text}: {error}") from error
        except ValueError as error:
            nearest = difflib.get_close_matches(scheme, fsspec.available_protocols(), n=1, cutoff=0)[0]
            raise ValueError(
                f"{text}: unknown scheme {scheme!r}: expected gs, s3 or another of fsspec's, nearest is {nearest!r}"
            ) from error
        return cls(text)

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)  # pathlib drops one slash

    def __fspath__(self) -> str:
        return str(self)

    def resolve(self) -> RemotePath:
        return self

    def expanduser(self) -> RemotePath:
        return self

    def exists(self) -> bool:
        return self._kind() is not None

    def is_dir(self) -> bool:
        return self._kind() == "directory"

    def is_file(self) -> bool:
        return self._kind() == "file"

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield the files and folders in a folder, in no order."""
        for entry in self._call("ls", detail=False):
            yield self / PurePosixPath(entry).name

    def find(self) -> dict[str, int]:
        """Return the sizes in bytes of all files below a folder, by their paths relative to it."""
        # Not `find` of fsspec, which leaves out folders that it cannot list.
        sizes = {}
        for entry in self._call("ls", detail=True):
            name = PurePosixPath(entry["name"]).name
            if entry["type"] != "directory":
                sizes[name] = entry["size"]
            elif entry["name"].rstrip("/") != self._located()[1].rstrip("/"):  # some list the folder itself
                sizes |= {f"{name}/{below}": size for below, size in (self / name).find().items()}
        return sizes

    def read_bytes(self) -> bytes:
        return self._call("cat_file")

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Write a file in one go. Only object stores such as gs:// and s3:// never show half of it."""
        try:
            self._call("pipe_file", content)
        except FileNotFoundError:  # a file system with folders
            self.parent.mkdir(parents=True, exist_ok=True)
            self._call("pipe_file", content)

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a folder and, with `parents`, those above it. A bucket, the first one, is never made."""
        above = self.parents[: len(self.parents) - 3] if parents else []
        for folder in reversed([self, *above]):
            if len(folder.parts) <= 2:
                continue
            if not folder.exists():
                folder._call("mkdir", create_parents=False)
            elif folder == self and not exist_ok:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))

    def unlink(self, *, missing_ok: bool = False) -> None:
        try:
            self._call("rm_file")
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmtree(self) -> None:
        """Delete a folder and its content; do nothing if it does not exist."""
        # Not `rm` of fsspec, for which "run[1]" is a pattern that "run1" matches.
        with contextlib.suppress(FileNotFoundError):  # also at a second try
            files = [self / name for name in self.find()]
            for file in files:
                file.unlink(missing_ok=True)
            folders = {self} | {above for file in files for above in file.parents if self in above.parents}
            for folder in sorted(folders, key=lambda path: -len(path.parts)):
                with contextlib.suppress(FileNotFoundError):  # object stores have no folders
                    folder._call("rmdir")

    def fetch(self, target: Path) -> None:
        """Copy a file, or all files of a folder, to a local path."""
        files = {target: self}
        if self.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            files = {target / name: self / name for name in self.find()}
        for local, remote in files.items():
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(remote.read_bytes())

    def _kind(self) -> str | None:
        # Not `exists` of fsspec, which takes every failure for a missing file: a run would begin anew.
        try:
            return self._call("info")["type"]
        except FileNotFoundError:
            return None

    def _located(self) -> tuple[fsspec.AbstractFileSystem, str]:
        system, path = fsspec.core.url_to_fs(str(self))
        system.invalidate_cache()  # of listings: other processes write too
        return system, path

    def _call(self, method: str, *args, **how):
        """Call a method of the file system with this path as its first argument, again while that may help."""
        for pause in (*PAUSES, None):
            try:
                system, path = self._located()
                return getattr(system, method)(path, *args, **how)
            except _FINAL as error:
                code = errno.ENOENT if isinstance(error, FileNotFoundError) else error.errno or errno.EACCES
                raise type(error)(code, _reason(error), str(self)) from error
            # Packages for remote file systems have exceptions of their own, not all of them OSError.
            except Exception as error:
                if isinstance(error, NotImplementedError):
                    raise OSError(errno.ENOTSUP, _reason(error), str(self)) from error
                if pause is None:
                    tries = f"tried {len(PAUSES) + 1} times"
                    raise RemoteError(errno.EIO, f"{_reason(error)} ({tries})", str(self)) from error
                time.sleep(pause)


def _reason(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return os.strerror(errno.ENOENT)
        case OSError(strerror=str(reason)):
            return reason
        case _:
            return f"{type(error).__name__}: {error}"
