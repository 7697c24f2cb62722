"""The archive of a search whose run directory is remote.

SQLite needs a local file with locks. The search works on one in a temporary folder, and every generation is saved in
the run directory as a checkpoint, which survives kill -9 and lost writes.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scarlet_tf.files import write_atomically
from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.interrupt import saying_what_is_saved
from scarlet_tf.search.archive import ArchiveError

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath

KIND, _CONTENT = "search", "archive"


@contextlib.contextmanager
def kept_archive(archive: Path | RemotePath) -> Iterator[tuple[Path, Callable[[int], object]]]:
    """Yield a local path for an archive, and a function that saves it after a number of generations.

    A local archive is its own path, and is saved already. A remote one is read from its newest checkpoint, and written
    as a whole at the end of the block.

    Raises:
        ArchiveError: in the block, naming the remote path.
    """
    if isinstance(archive, Path):
        yield archive, lambda generations: None
        return
    store = CheckpointStore(archive.parent, kind=KIND, fingerprint=None, keep=2)
    with tempfile.TemporaryDirectory() as aside:
        local = Path(aside) / archive.name
        if saved := store.restore():
            local.write_bytes(saved.arrays[_CONTENT].tobytes())
        elif archive.exists():  # of a run directory that was copied here
            local.write_bytes(archive.read_bytes())
        try:
            yield local, lambda generations: store.save(generations, {_CONTENT: np.frombuffer(_read(local), np.uint8)})
        except ArchiveError as error:
            raise ArchiveError(str(error).replace(str(local), str(archive))) from error
        with saying_what_is_saved(lambda: "all generations are saved"):
            write_atomically(archive, _read(local))


def _read(path: Path) -> bytes:
    """Return the content of an archive that is open elsewhere, with what is still in its write-ahead log."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.serialize()
