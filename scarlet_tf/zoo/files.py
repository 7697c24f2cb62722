"""Reading `.keras` files safely, with one clear error for a damaged one."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import keras


class ModelFileError(ValueError):
    """A model or weights file that cannot be used; the message names its path."""


class MissingWeightsError(ModelFileError, FileNotFoundError):
    """Weights that are not there; the message says where to get them, or what is allowed."""


def check_file(path: str | os.PathLike) -> Path:
    """The path of an existing file; FileNotFoundError or ModelFileError otherwise."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if not path.is_file():
        raise ModelFileError(f"{path}: expected a file")
    return path


def load_keras_file(path: str | os.PathLike) -> keras.Model:
    """Loads a `.keras` file without running code from it (safe_mode); ModelFileError names a damaged file."""
    path = check_file(path)
    if not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path}: not a .keras file, or a truncated one")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever its parsing of a damaged archive runs into.
    except Exception as error:
        raise ModelFileError(f"{path}: not readable as a Keras model: {error}") from error
