"""A user's files: are they there, and reading `.keras` files safely, with one clear error for a damaged one."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

WEIGHTS_SUFFIXES = (".weights.h5", ".keras")


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


def check_weights_file(path: str | os.PathLike) -> Path:
    """The path of an existing file of weights, by its name; ModelFileError or MissingWeightsError otherwise."""
    is_path = isinstance(path, (str, os.PathLike))
    if not is_path or not Path(path).name.endswith(WEIGHTS_SUFFIXES):
        raise ModelFileError(
            "`weights` should be None, 'imagenet', or the path of a .weights.h5 or a .keras file. "
            f"Received weights={(str(path) if is_path else path)!r}"
        )
    path = Path(path)
    if not path.exists():
        raise MissingWeightsError(f"no such file: {path}. `weights` should be None, 'imagenet', or a file's path")
    return check_file(path)


def read_training(folder: str | os.PathLike) -> dict | None:
    """What a trained model's folder says about its training; None where there is nothing, as for every other name."""
    record = Path(folder) / "training.json"
    try:
        return json.loads(record.read_text()) if record.exists() else None
    except ValueError as error:
        raise ModelFileError(f"{record}: not JSON: {error}") from error


def load_keras_file(path: str | os.PathLike) -> keras.Model:
    """Loads a `.keras` file without running code from it (safe_mode); ModelFileError names a damaged file."""
    import keras

    path = check_file(path)
    if not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path}: not a .keras file, or a truncated one")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever its parsing of a damaged archive runs into.
    except Exception as error:
        raise ModelFileError(f"{path}: not readable as a Keras model: {error}") from error
