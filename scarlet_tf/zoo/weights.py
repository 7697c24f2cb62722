"""Weights of models: reading a file, and the location of the official ImageNet weights after conversion.

The official weights are not part of this project. Does not import TensorFlow before a file is read.
"""

from __future__ import annotations

import os
import shlex
import warnings
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.files import expand_user, user_cache
from scarlet_tf.zoo.files import MissingWeightsError, ModelFileError, check_weights_file, load_keras_file
from scarlet_tf.zoo.registry import get_spec

IMAGENET = "imagenet"  # value of `weights` that stands for them
OFFICIAL = "https://github.com/xiaomi-automl/SCARLET-NAS"
RELEASED = ("scarlet_a", "scarlet_b", "scarlet_c")


def weights_dir() -> Path:
    """Return the folder of converted weights: $SCARLET_TF_WEIGHTS, else <user cache>/scarlet_tf/weights."""
    chosen = os.environ.get("SCARLET_TF_WEIGHTS")
    return expand_user(chosen) if chosen else user_cache() / "weights"


def imagenet_weights(name: str) -> Path:
    """Return the file of a named network's ImageNet weights, `weights_dir()`/NAME.weights.h5.

    Raises:
        ValueError: for an unknown name (with the nearest).
        MissingWeightsError: if there is no such file.
    """
    get_spec(name)
    path = weights_dir() / f"{name}.weights.h5"
    if path.is_file():
        return path
    if name not in RELEASED:
        raise MissingWeightsError(
            f"no ImageNet weights of {name!r} at {path}: its authors are not known to have released any, only those "
            f"of {', '.join(RELEASED)}"
        )
    raise MissingWeightsError(
        f"no ImageNet weights of {name!r} at {path}: ask the authors for their checkpoint, FILE (the README of "
        f"{OFFICIAL} links to their form), then: python tools/convert_torch.py --model={name} --checkpoint=FILE "
        f"--output={shlex.quote(str(path))}"
    )


def read_weights(
    spec: ArchSpec, path: str | os.PathLike, *, include_top: bool, channels: int = 3
) -> dict[str, np.ndarray]:
    """Read arrays by name, as `models.get_weights` returns them; without the top, not the classifier's.

    Args:
        channels: of the input.

    Raises:
        ModelFileError: if the file is of another kind, damaged, or of another model.
        MissingWeightsError: if there is no file.
    """
    from scarlet_tf.models import build, get_weights

    path = check_weights_file(path)
    if path.name.endswith(".keras"):
        arrays = get_weights(load_keras_file(path))
        return {key: array for key, array in arrays.items() if include_top or not key.startswith("classifier/")}
    reader = build(spec, include_top=include_top, input_shape=(*spec.input_shape[:2], channels))
    with warnings.catch_warnings(record=True) as skipped:  # Keras only warns about layers that it leaves unassigned
        warnings.simplefilter("always", UserWarning)
        try:
            reader.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            raise ModelFileError(f"{path}: not readable as weights of {spec.name!r}: {error}") from error
    if skipped:
        raise ModelFileError(f"{path}: lacks weights of {spec.name!r}: {skipped[0].message}")
    return get_weights(reader)
