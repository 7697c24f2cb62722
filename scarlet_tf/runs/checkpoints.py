"""Checkpoints that survive kill -9: files are written atomically, the last few are kept, and damaged ones are skipped.

A checkpoint is an uncompressed .npz of named arrays and a JSON record. The zip's CRC-32 detects damage; nothing is ever
unpickled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.differences import name_differences
from scarlet_tf.files import write_atomically

FORMAT_VERSION = 1
_RECORD = "__record__"


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
    path: Path
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
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
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
        self.directory = Path(directory)
        self.kind = kind
        self.fingerprint = fingerprint
        self.settings = settings
        self.keep = keep

    def paths(self) -> list[Path]:
        """Return the checkpoint files, oldest first."""
        if not self.directory.is_dir():
            return []
        return sorted(p for p in self.directory.iterdir() if re.fullmatch(r"checkpoint-\d{10}\.npz", p.name))

    def save(self, step: int, arrays: Mapping[str, np.ndarray], metadata: Mapping | None = None) -> Path:
        """Write the state after `step` steps, delete all but the newest `keep` checkpoints, and return the path."""
        self.directory.mkdir(parents=True, exist_ok=True)
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
        write_atomically(path, lambda file: np.savez(file, **{_RECORD: packed}, **arrays))
        for old in self.paths()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

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
