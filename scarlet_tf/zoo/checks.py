"""Validation of a model reference before the model is opened, without importing TensorFlow."""

from __future__ import annotations

import os

from scarlet_tf.arch import ArchSpec
from scarlet_tf.paths import local_copy
from scarlet_tf.zoo.files import check_file, check_weights_file
from scarlet_tf.zoo.registry import resolve_spec
from scarlet_tf.zoo.weights import IMAGENET, imagenet_weights


def check_model(
    model: str | os.PathLike,
    *,
    weights: str | os.PathLike | None = None,
    keras_file: bool = True,
    saved_model: bool = False,
) -> bool:
    """Validate a model reference without importing TensorFlow.

    Raises what `open_model` would for these arguments, except for existing files that are damaged.

    Args:
        model, weights: as in `open_model`.
        keras_file: whether a lone .keras file is accepted.
        saved_model: whether a SavedModel's folder is accepted.

    Returns:
        Whether the weights come from a file.

    Raises:
        ValueError, FileNotFoundError: for an unknown name (with the nearest), a path with nothing or something else
            there, a bad spec or genome, missing weights, and weights for a model that has its own.

    Example:
        >>> check_model("scarlet_a")  # a name without weights
        False
    """
    path = local_copy(model)
    if saved_model and (path / "saved_model.pb").is_file():
        return True
    has_weights = True
    if path.name.endswith(".keras"):
        check_file(path)
        if not keras_file:
            raise ValueError(
                f"{path} does not record its network: expected the folder that contains it, or a network's name, "
                "spec or genome, with this file as its weights"
            )
    elif path.is_dir():
        if not (path / "spec.json").exists():
            raise FileNotFoundError(f"{path} is not the folder of a trained model: it has no spec.json")
        ArchSpec.load(check_file(path / "spec.json"))
        check_file(path / "model.keras")
    else:
        spec, has_weights = resolve_spec(model), False
    if weights is None:
        return has_weights
    if has_weights:
        raise ValueError(f"weights {str(weights)!r} cannot be set: {str(model)!r} has its own weights")
    if weights == IMAGENET:
        imagenet_weights(spec.name)
    else:
        check_weights_file(weights)
    return True
