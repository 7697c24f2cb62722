"""A model's weights from a file, or from the cache of converted official ones."""

from __future__ import annotations

import os
import warnings

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.models import build, get_weights
from scarlet_tf.zoo.files import ModelFileError, check_weights_file, load_keras_file


def read_weights(
    spec: ArchSpec, path: str | os.PathLike, *, include_top: bool, channels: int = 3
) -> dict[str, np.ndarray]:
    """Arrays by name, as `models.get_weights` gives them; the classifier's are left out where they are not wanted.

    Args:
        channels: of the input.

    Raises:
        ModelFileError: for a file of another kind, a damaged one, or one of another model.
        MissingWeightsError: for none.
    """
    path = check_weights_file(path)
    if path.name.endswith(".keras"):
        arrays = get_weights(load_keras_file(path))
        return {key: array for key, array in arrays.items() if include_top or not key.startswith("classifier/")}
    reader = build(spec, include_top=include_top, input_shape=(*spec.input_shape[:2], channels))
    with warnings.catch_warnings(record=True) as skipped:  # Keras only warns where it leaves layers unassigned
        warnings.simplefilter("always", UserWarning)
        try:
            reader.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            raise ModelFileError(f"{path}: not readable as weights of {spec.name!r}: {error}") from error
    if skipped:
        raise ModelFileError(f"{path}: lacks weights of {spec.name!r}: {skipped[0].message}")
    return get_weights(reader)
