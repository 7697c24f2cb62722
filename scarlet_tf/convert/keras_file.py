"""Keras weight files that say where their values came from and what they expect.

The record is one JSON object: the attribute "scarlet_tf" of a .weights.h5 file's root group, the member
"scarlet_tf.json" of a .keras file. Keras reads neither, so the files load anywhere.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.files import replaced_whole

FORMAT, FORMAT_VERSION = "scarlet_tf.weights", 1
SUFFIXES = (".weights.h5", ".keras")
_ATTRIBUTE, _MEMBER = "scarlet_tf", "scarlet_tf.json"


def require_suffix(path: str | os.PathLike) -> Path:
    """The path; ValueError unless it ends in one of SUFFIXES and is no folder."""
    path = Path(path)
    if not path.name.endswith(SUFFIXES) or path.is_dir():
        raise ValueError(f"{str(path)!r}: expected a file name that ends in {' or '.join(SUFFIXES)}")
    return path


def write_keras_weights(
    path: str | os.PathLike, spec: ArchSpec, weights: Mapping[str, np.ndarray], *, source: Mapping[str, object]
) -> None:
    """Writes the file whole or not at all, after reading it back and comparing every value.

    Args:
        path: NAME.weights.h5, or NAME.keras for the model itself, with softmax.
        weights: as `scarlet_tf.models.set_weights` takes them.
        source: where they came from, such as {"file": name, "sha256": digest}; goes into the record.

    Raises:
        ValueError: for another suffix, or weights that are not the spec's.
        OSError: where the file cannot be written.
    """
    from scarlet_tf.models import get_weights, set_weights  # loads TensorFlow
    from scarlet_tf.zoo import ModelFileError, create_model

    path = require_suffix(path)
    model = create_model(spec)
    set_weights(model, weights)
    with replaced_whole(path) as temporary:
        if path.name.endswith(".keras"):
            model.save(temporary)
        else:
            model.save_weights(temporary)
        _add_record(temporary, _record(spec, source))
        back = get_weights(create_model(spec, weights=temporary))
        different = [name for name in weights if back[name].tobytes() != weights[name].tobytes()]
        if different:
            raise ModelFileError(f"{path}: {different[0]} does not read as it was written")


def read_weights_record(path: str | os.PathLike) -> dict | None:
    """What a .weights.h5 or .keras file says about itself; None where it says nothing.

    The object holds "spec" (of `ArchSpec.to_dict`), "source" (file, sha256 and BN's num_batches_tracked of the
    checkpoint), "preprocessing" (the fields of `scarlet_tf.zoo.Preprocessing`) and "batch_norm_epsilon".

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: for a damaged file, or a record of another version.
    """
    from scarlet_tf.zoo import ModelFileError
    from scarlet_tf.zoo.files import check_file

    path = check_file(require_suffix(path))
    try:
        text = _member(path) if path.name.endswith(".keras") else _attribute(path)
        record = None if text is None else json.loads(text)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelFileError(f"{path}: not readable as a Keras file: {error}") from error
    if record is None:
        return None
    if not isinstance(record, dict) or (record.get("format"), record.get("version")) != (FORMAT, FORMAT_VERSION):
        raise ModelFileError(f"{path}: its record is not {FORMAT!r} version {FORMAT_VERSION}")
    return record


def _record(spec: ArchSpec, source: Mapping[str, object]) -> dict:
    from scarlet_tf.layers import BatchNorm
    from scarlet_tf.zoo import IMAGENET_PREPROCESSING

    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "source": dict(source),
        "spec": spec.to_dict(),
        "preprocessing": dataclasses.asdict(IMAGENET_PREPROCESSING),
        "batch_norm_epsilon": BatchNorm().epsilon,
    }


def _add_record(path: Path, record: dict) -> None:
    import h5py

    text = json.dumps(record, sort_keys=True)
    if path.name.endswith(".keras"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(_MEMBER, text)
    else:
        with h5py.File(path, "r+") as file:
            file.attrs[_ATTRIBUTE] = text


def _member(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        return archive.read(_MEMBER).decode() if _MEMBER in archive.namelist() else None


def _attribute(path: Path) -> str | None:
    import h5py

    with h5py.File(path) as file:
        return file.attrs.get(_ATTRIBUTE)
