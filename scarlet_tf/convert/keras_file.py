"""Keras weight files with a record of where their values came from and how images must be normalised.

The record is one JSON object: the attribute "scarlet_tf" of a .weights.h5 file's root group, the member
"scarlet_tf.json" of a .keras file. Keras reads neither, so the files load anywhere.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.files import replaced_whole
from scarlet_tf.paths import as_path
from scarlet_tf.zoo.files import WEIGHTS_SUFFIXES, add_weights_record


def check_weights_suffix(path: str | os.PathLike) -> Path:
    """Return the path. Raise ValueError unless it ends in one of WEIGHTS_SUFFIXES and is not a folder."""
    path = as_path(path)
    if not path.name.endswith(WEIGHTS_SUFFIXES) or path.is_dir():
        raise ValueError(f"{str(path)!r}: expected a file name that ends in {' or '.join(WEIGHTS_SUFFIXES)}")
    return path


def write_keras_weights(
    path: str | os.PathLike, spec: ArchSpec, weights: Mapping[str, np.ndarray], *, source: Mapping[str, object]
) -> None:
    """Write a Keras weight file atomically, after reading it back and comparing every value.

    Args:
        path: NAME.weights.h5, or NAME.keras for the whole model, with softmax.
        spec: the network of the weights.
        weights: as `scarlet_tf.models.set_weights` takes them.
        source: where they came from, such as {"file": name, "sha256": digest}; stored in the record.

    Raises:
        ValueError: for another suffix, or weights that do not fit the spec.
        OSError: if the file cannot be written.
    """
    from scarlet_tf.models import get_weights, set_weights  # loads TensorFlow
    from scarlet_tf.zoo import ModelFileError, create_model

    path = check_weights_suffix(path)
    model = create_model(spec)
    set_weights(model, weights)
    with replaced_whole(path) as temporary:
        if path.name.endswith(".keras"):
            model.save(temporary)
        else:
            model.save_weights(temporary)
        add_weights_record(temporary, _record(spec, source))
        back = get_weights(create_model(spec, weights=temporary))
        different = [name for name in weights if back[name].tobytes() != weights[name].tobytes()]
        if different:
            raise ModelFileError(f"{path}: {different[0]} has other values when it is read back")


def _record(spec: ArchSpec, source: Mapping[str, object]) -> dict:
    from scarlet_tf.layers import BatchNorm
    from scarlet_tf.zoo import IMAGENET_PREPROCESSING

    return {
        "source": dict(source),
        "spec": spec.to_dict(),
        "preprocessing": dataclasses.asdict(IMAGENET_PREPROCESSING),
        "batch_norm_epsilon": BatchNorm().epsilon,
    }
