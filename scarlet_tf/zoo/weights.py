"""Reading of a model's weights from a file, which may be in the cache of converted official weights."""

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
    """Read arrays by name, as `models.get_weights` returns them; without the top, not the classifier's.

    Args:
        channels: of the input.

    Raises:
        ModelFileError: if the file is of another kind, damaged, or of another model.
        MissingWeightsError: if there is no file.
    """
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
