"""A remote file system that fails, flaky://: an fsspec file system over a local folder, $FLAKY_ROOT.

As the worst of remote file systems does, it shows what a killed or failed write has written so far. `FAULTS` says what
fails in this process; a process that is killed leaves its files for the next one.
"""

import contextlib
import dataclasses
import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import fsspec


class Killed(BaseException):
    """Stands for `kill -9`: nothing may catch it."""


def raise_killed() -> None:
    raise Killed


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclasses.dataclass
class Faults:
    """What fails, as shares of operations, drawn by `random`.

    Attributes:
        read: reads and listings that raise an error.
        write: writes that raise an error after some of their bytes.
        lost: deletions that do nothing.
        late: deletions that take effect only after some more operations.
        bytes_to_live: bytes written before `die` is called, which leaves a part of the file; None: for ever.
        bytes_per_second: that writes sleep for.
        folders: whether a folder must exist before a file in it, as on a disk.
    """

    random: Random = dataclasses.field(default_factory=lambda: Random(0))
    read: float = 0.0
    write: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    bytes_to_live: int | None = None
    die: Callable[[], None] = raise_killed
    bytes_per_second: float = float("inf")
    happened: dict[str, int] = dataclasses.field(default_factory=dict)
    folders: bool = False
    dead: bool = False

    def revive(self) -> None:
        """Start a process anew: it lives for ever."""
        self.dead, self.bytes_to_live = False, None

    def draw(self, kind: str) -> bool:
        if happens := self.random.random() < getattr(self, kind):
            self.happened[kind] = self.happened.get(kind, 0) + 1
        return happens


FAULTS = Faults()


class FlakyFileSystem(fsspec.AbstractFileSystem):
    """Files below $FLAKY_ROOT. Folders are made with their files, and need not exist before, as on object stores."""

    protocol = "flaky"
    cachable = False
    _late: dict[Path, int] = {}  # noqa: RUF012 - operations until a deletion takes effect

    def ls(self, path, detail=True, **_):
        self._operation("read")
        place = self._place(path)
        if not place.is_dir():
            found = [self.info(path)] if place.exists() else None
        else:
            found = [self._info(entry) for entry in place.iterdir()]
        if found is None:
            raise FileNotFoundError(path)
        return found if detail else [entry["name"] for entry in found]

    def info(self, path, **_):
        self._operation("read")
        if not (place := self._place(path)).exists():
            raise FileNotFoundError(path)
        return self._info(place)

    def cat_file(self, path, start=None, end=None, **_):
        self._operation("read")
        return self._place(path).read_bytes()[start:end]

    def pipe_file(self, path, value, mode="overwrite", **_):
        self._operation()
        place = self._place(path)
        if not FAULTS.folders:
            place.parent.mkdir(parents=True, exist_ok=True)
        elif not place.parent.exists():
            raise FileNotFoundError(path)
        self._late.pop(place, None)
        time.sleep(len(value) / FAULTS.bytes_per_second)
        lives = FAULTS.bytes_to_live
        part = FAULTS.random.randrange(len(value) + 1) if FAULTS.draw("write") else None
        if lives is not None and lives <= (len(value) if part is None else part):
            _write(place, value[:lives])
            FAULTS.dead = True
            FAULTS.die()
        if lives is not None:
            FAULTS.bytes_to_live -= len(value) if part is None else part
        _write(place, value[:part])
        if part is not None:
            raise ConnectionResetError(f"connection lost while writing {path}")

    def mkdir(self, path, create_parents=True, **_):
        self._operation()
        self._place(path).mkdir(parents=create_parents)

    def rm_file(self, path):
        self._operation("read")
        place = self._place(path)
        if not place.exists():
            raise FileNotFoundError(path)
        if FAULTS.draw("lost"):
            return
        if FAULTS.draw("late"):
            self._late[place] = 5
        else:
            place.unlink()

    def rmdir(self, path):
        self._operation("read")
        self._place(path).rmdir()

    def _open(self, path, mode="rb", **_):
        assert mode == "rb", "files are written in one go"
        return io.BytesIO(self.cat_file(path))

    def _place(self, path) -> Path:
        return Path(os.environ["FLAKY_ROOT"]) / self._strip_protocol(path)

    def _info(self, place: Path) -> dict:
        name = place.relative_to(os.environ["FLAKY_ROOT"]).as_posix()
        kind = "directory" if place.is_dir() else "file"
        return {"name": name, "size": place.stat().st_size, "type": kind}

    def _operation(self, kind: str | None = None) -> None:
        if FAULTS.dead:
            raise Killed
        for place, left in list(self._late.items()):
            self._late[place] = left - 1
            if left <= 1:
                del self._late[place]
                with contextlib.suppress(FileNotFoundError):
                    place.unlink()
        if kind and FAULTS.draw(kind):
            raise TimeoutError("the store does not answer")


def _write(place: Path, content: bytes) -> None:
    with place.open("wb", buffering=0) as file:
        file.write(content)


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
if lives := os.environ.get("FLAKY_BYTES_TO_LIVE"):
    FAULTS = Faults(bytes_to_live=int(lives), die=kill_this_process)
