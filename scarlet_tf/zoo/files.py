"""Checks of a user's files, and safe reading of model files, with one clear error for a damaged file."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scarlet_tf.paths import local_copy, no_such

if TYPE_CHECKING:
    import keras

WEIGHTS_SUFFIXES = (".weights.h5", ".keras")
# A file's record is an attribute of a .weights.h5 file's root group, or a member of a .keras file.
RECORD_FORMAT, RECORD_VERSION = "scarlet_tf.weights", 1
RECORD_ATTRIBUTE, RECORD_MEMBER = "scarlet_tf", "scarlet_tf.json"


class ModelFileError(ValueError):
    """A model or weights file that cannot be used; the message names its path."""


class MissingWeightsError(ModelFileError, FileNotFoundError):
    """Missing weights; the message says where to get them, or what is allowed."""


def check_file(path: str | os.PathLike) -> Path:
    """Return the path of an existing file. Raise FileNotFoundError or ModelFileError otherwise."""
    path = local_copy(path)
    if not path.exists():
        raise FileNotFoundError(no_such(path))
    if not path.is_file():
        raise ModelFileError(f"{path}: expected a file")
    return path


def check_weights_file(path: str | os.PathLike) -> Path:
    """Return the path of an existing file with a weights suffix; ModelFileError or MissingWeightsError otherwise."""
    is_path = isinstance(path, (str, os.PathLike))
    if not is_path or not Path(path).name.endswith(WEIGHTS_SUFFIXES):
        raise ModelFileError(
            "`weights` should be None, 'imagenet', or the path of a .weights.h5 or a .keras file. "
            f"Received weights={(str(path) if is_path else path)!r}"
        )
    path = local_copy(path)
    if not path.exists():
        raise MissingWeightsError(f"{no_such(path)}. `weights` should be None, 'imagenet', or a file's path")
    return check_file(path)


def read_training(folder: str | os.PathLike) -> dict | None:
    """Return the content of a trained model's training.json, None if there is none, as for anything but such a folder.

    Raises:
        ModelFileError: if it is not a JSON object.
    """
    path = local_copy(folder) / "training.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ModelFileError(f"{path}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise ModelFileError(f"{path}: expected a JSON object, got {type(record).__name__}")
    return record if path.exists() else None


def skipped_damaged(training: dict | None) -> bool:
    """Return whether training skipped damaged images of the dataset.

    Args:
        training: what `read_training` returned.
    """
    data = (training or {}).get("data")
    return isinstance(data, dict) and bool(data.get("skip_damaged"))


def read_weights_record(path: str | os.PathLike) -> dict | None:
    """Return the record of a .weights.h5 or .keras file, None if it has none.

    Converted weights have a record, and weights that training wrote. It holds "spec" (from `ArchSpec.to_dict`),
    "preprocessing" (of `scarlet_tf.zoo.Preprocessing`) and "source": for converted weights, the checkpoint's file,
    sha256, and num_batches_tracked of its batch normalisations.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is damaged, or its record has another version.
    """
    path = check_weights_file(path)
    try:
        text = _member(path) if path.name.endswith(".keras") else _attribute(path)
        record = None if text is None else json.loads(text)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelFileError(f"{path}: not readable as a Keras file: {error}") from error
    if record is None:
        return None
    if not isinstance(record, dict) or (record.get("format"), record.get("version")) != (
        RECORD_FORMAT,
        RECORD_VERSION,
    ):
        raise ModelFileError(f"{path}: its record is not {RECORD_FORMAT!r} version {RECORD_VERSION}")
    return record


def load_keras_file(path: str | os.PathLike) -> keras.Model:
    """Load a `.keras` file without running code from it (safe_mode).

    Raises:
        FileNotFoundError: if the file is missing.
        ModelFileError: if the file is damaged; the message names it.
    """
    import keras

    path = check_file(path)
    if not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path}: not a .keras file, or a truncated one")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras can raise anything when it parses a damaged archive.
    except Exception as error:
        raise ModelFileError(f"{path}: not readable as a Keras model: {error}") from error


def add_weights_record(path: str | os.PathLike, record: Mapping[str, object]) -> None:
    """Add a record to a .weights.h5 or .keras file that has none; Keras ignores it."""
    import h5py

    text = json.dumps({"format": RECORD_FORMAT, "version": RECORD_VERSION} | dict(record), sort_keys=True)
    if Path(path).name.endswith(".keras"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(RECORD_MEMBER, text)
    else:
        with h5py.File(path, "r+") as file:
            file.attrs[RECORD_ATTRIBUTE] = text


def _member(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        return archive.read(RECORD_MEMBER).decode() if RECORD_MEMBER in archive.namelist() else None


def _attribute(path: Path) -> str | None:
    import h5py

    with h5py.File(path) as file:
        return file.attrs.get(RECORD_ATTRIBUTE)
