"""qat.npz: the activations' ranges that quantisation-aware training learnt, named float32 scalars."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.compression.config import CompressionError
from scarlet_tf.files import write_atomically

FILE = "qat.npz"


def write_ranges(path: str | os.PathLike, ranges: Mapping[str, np.ndarray]) -> None:
    """Writes the file whole or not at all."""
    write_atomically(path, lambda file: np.savez(file, **ranges))


def read_ranges(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The reverse; CompressionError names a missing or damaged file."""
    path = Path(path)
    if not path.is_file():
        raise CompressionError(f"{path.parent} was not trained with --qat: it holds no {path.name}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise CompressionError(f"{path} is damaged: {error}") from error
