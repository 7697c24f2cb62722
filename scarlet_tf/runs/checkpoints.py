"""Checkpoints that survive kill -9: files are written atomically, the last few are kept, and damaged ones are skipped.

A checkpoint is an uncompressed .npz of named arrays and a JSON record. The zip's CRC-32 detects damage; nothing is ever
unpickled. On a remote file system a checkpoint counts once it has a marker, see `committed`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from scarlet_tf.committed import MARKER, IncompleteError, read_committed, write_committed
from scarlet_tf.differences import name_differences
from scarlet_tf.files import write_atomically
from scarlet_tf.paths import as_path

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath

FORMAT_VERSION = 1
_RECORD = "__record__"
_NAME = re.compile(r"checkpoint-\d{10}\.npz")


class CheckpointError(ValueError):
    """Error for an unusable checkpoint; the message names its path and the reason."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after `step` finished steps.

    Attributes:
        arrays: the state, by name.
        metadata: as saved, with the run's "fingerprint".
        path: of the file.
        settings: of the run; None if the file does not record them.
    """

    step: int
    arrays: dict[str, np.ndarray]
    metadata: dict
    path: Path | RemotePath
    settings: object = None


def fingerprint(settings: object) -> str:
    """Return a short hash of JSON-able settings; a run resumes only from checkpoints with its own fingerprint."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def read_checkpoint(path: str | os.PathLike, *, kind: str) -> Checkpoint:
    """Read and check one checkpoint file.

    Args:
        path: the file.
        kind: the expected kind.

    Raises:
        CheckpointError: if the file is missing, damaged, or of another kind or version.
        OSError: if a remote file cannot be read now, which does not mean that it is damaged.
    """
    path = as_path(path)
    try:
        source = path if isinstance(path, Path) else io.BytesIO(read_committed(path))
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}") from error
    except IncompleteError as error:
        raise CheckpointError(f"checkpoint {path} is damaged: {error}") from error
    try:
        with np.load(source, allow_pickle=False) as stored:
            record = json.loads(stored[_RECORD].tobytes())
            arrays = {name: stored[name] for name in stored.files if name != _RECORD}
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged: {error}") from error
    if record.get("version") != FORMAT_VERSION:
        raise CheckpointError(f"checkpoint {path} has version {record.get('version')!r}, expected {FORMAT_VERSION}")
    if record.get("kind") != kind:
        raise CheckpointError(f"checkpoint {path} is of kind {record.get('kind')!r}, expected {kind!r}")
    missing = set(record["names"]) - set(arrays)
    if missing:
        raise CheckpointError(f"checkpoint {path} is damaged: it lacks {sorted(missing)[0]}")
    metadata = record["metadata"] | {"fingerprint": record["fingerprint"]}
    return Checkpoint(step=record["step"], arrays=arrays, metadata=metadata, path=path, settings=record.get("settings"))


def check_markers(run: Path | RemotePath) -> None:
    """Raise CheckpointError if a remote run directory has checkpoints or a result, but no marker at all.

    It was then copied from a local disk, where files have no markers, and a run would start anew there. A run that
    writes to a remote directory itself makes a marker, that of its log, before its first checkpoint.
    """
    if isinstance(run, Path):
        return
    names = names_in(run) | names_in(run / "checkpoints")
    kept = sorted(name for name in names if _NAME.fullmatch(name) or name == "training.json")
    if kept and not any(name.endswith(MARKER) for name in names):
        raise CheckpointError(
            f"{run} has {kept[-1]}, but no file in it has a marker, as after a copy from a local disk: copy the local "
            "run directory there by scarlet_tf.committed.copy_run, which makes them, or choose another run directory"
        )


def names_in(folder: Path | RemotePath) -> set[str]:
    """Return the names of the files and folders in a folder; none if it does not exist."""
    try:
        return {path.name for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


class CheckpointStore:
    """The checkpoints of one run, in one folder.

    Args:
        directory: the folder.
        kind: what is stored, such as "supernet"; checkpoints of another kind are rejected.
        fingerprint: of the run's settings; checkpoints with another fingerprint are rejected. None accepts any.
        settings: the settings themselves, JSON-able, so that the error can name the differences.
        keep: number of newest checkpoints to keep.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        kind: str,
        fingerprint: str | None,
        settings: object = None,
        keep: int = 3,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep must be >= 1, got {keep}")
        self.directory = as_path(directory)
        self.kind = kind
        self.fingerprint = fingerprint
        self.settings = settings
        self.keep = keep

    def paths(self) -> list[Path] | list[RemotePath]:
        """Return the checkpoint files, oldest first; of a remote folder, those with a marker."""
        names = names_in(self.directory)
        local = isinstance(self.directory, Path)
        found = sorted(name for name in names if _NAME.fullmatch(name) and (local or name + MARKER in names))
        return [self.directory / name for name in found]

    def save(self, step: int, arrays: Mapping[str, np.ndarray], metadata: Mapping | None = None) -> Path | RemotePath:
        """Write the state after `step` steps, delete old checkpoints, and return the path.

        The newest `keep` checkpoints up to this step are kept. Later ones are damaged: the run resumed before them.
        """
        record = {
            "version": FORMAT_VERSION,
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "step": int(step),
            "names": sorted(arrays),
            "metadata": dict(metadata or {}),
        }
        packed = np.frombuffer(json.dumps(record).encode(), np.uint8)
        path = self.directory / f"checkpoint-{step:010d}.npz"

        def write(file: BinaryIO) -> None:
            np.savez(file, **{_RECORD: packed}, **arrays)

        if isinstance(path, Path):
            write_atomically(path, write)
            for old in set(self.paths()).difference(self._kept(path)):
                old.unlink(missing_ok=True)
            for cut_short in self.directory.glob(".checkpoint-*.npz.*.tmp"):  # by kill -9
                cut_short.unlink(missing_ok=True)
        else:
            file = io.BytesIO()
            write(file)
            write_committed(path, file.getvalue())
            self._delete_remote(self._kept(path))
        return path

    def _kept(self, newest: Path | RemotePath) -> list[Path] | list[RemotePath]:
        return [path for path in self.paths() if path.name <= newest.name][-self.keep :]

    def _delete_remote(self, kept: Sequence[RemotePath]) -> None:
        """Delete old checkpoints, and what killed writes have left; the marker first, so that no half is ever read.

        What cannot be deleted now is deleted after a later save.
        """
        names = {path.name for path in kept}
        for name in sorted(names_in(self.directory), key=lambda name: (not name.endswith(MARKER), name)):
            if _NAME.fullmatch(data := name.removesuffix(MARKER)) and data not in names:
                with contextlib.suppress(OSError):
                    (self.directory / name).unlink(missing_ok=True)

    def restore(self) -> Checkpoint | None:
        """Read the newest usable checkpoint, with a warning for each newer one that is damaged.

        Returns:
            The checkpoint, or None if there is no checkpoint file at all.

        Raises:
            CheckpointError: if no checkpoint is usable, or the newest usable one was made with other settings.
        """
        paths = self.paths()
        failure = None
        for path in reversed(paths):
            try:
                checkpoint = read_checkpoint(path, kind=self.kind)
            except CheckpointError as error:
                failure = error
                warnings.warn(f"{error}; trying the previous checkpoint", stacklevel=2)
                continue
            if self.fingerprint not in (None, checkpoint.metadata["fingerprint"]):
                raise CheckpointError(
                    f"checkpoint {path} was saved with other settings{self._difference(checkpoint)}: "
                    f"use the same flags, or another run directory for a new run"
                )
            return checkpoint
        if failure:
            raise CheckpointError(f"no usable checkpoint in {self.directory}: {failure}")
        return None

    def _difference(self, checkpoint: Checkpoint) -> str:
        """Return the differences in brackets, or "" if they are unknown."""
        if checkpoint.settings is None or self.settings is None:
            return ""
        return f" ({name_differences(checkpoint.settings, self.settings)})"
