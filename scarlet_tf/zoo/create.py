"""Models of named networks, spec files, genomes and specs."""

from __future__ import annotations

import dataclasses
import inspect
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras as keras3
import numpy as np

from scarlet_tf.arch import ArchSpec, SpecError, get_space
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.zoo.files import ModelFileError, check_file, load_keras_file
from scarlet_tf.zoo.registry import get_spec, list_models


def create_model(
    model: str | os.PathLike | Sequence[int] | ArchSpec,
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    dropout_rate: float | None = None,
    classifier_activation: str | None = "softmax",
    keras=keras3,
    name: str | None = None,
):
    """A Keras model.

    Args:
        model: a name from `list_models()`, the path of a spec's JSON file, a genome of the search space "scarlet" (a
            sequence of 19 integers, or text like "4,8,2,..."), or an ArchSpec.
        include_top: with the global pool, dropout and classifier; without, the model gives the tail's feature map.
        weights: None for the official initialisation, or a file: `.weights.h5`, or `.keras` (with or without the top).
        input_shape: (height, width, channels); height and width may be None. Default: the spec's resolution.
        classes, dropout_rate: other values than the spec's (1000 and 0.2, 0.3 or 0.4 for the named networks).
        classifier_activation: "softmax", or None for logits.
        keras: keras (3) or tf_keras.

    Returns:
        A functional model: float32 (B, H, W, 3), normalised as IMAGENET_PREPROCESSING, -> (B, classes), or
        (B, ceil(H/32), ceil(W/32), tail_channels) without the top.

    Raises:
        ValueError: for an unknown name (with the nearest), a bad spec or genome, or weights that cannot be read
            (ModelFileError) or do not fit (WeightsMismatchError).
        FileNotFoundError: for a missing file.
    """
    spec = resolve_spec(model)
    changes = {"classes": classes, "dropout": dropout_rate}
    spec = dataclasses.replace(spec, **{field: value for field, value in changes.items() if value is not None})
    built = build(
        spec,
        keras=keras,
        include_top=include_top,
        input_shape=input_shape,
        classifier_activation=classifier_activation,
        name=name,
    )
    if weights is not None:
        set_weights(built, _read_weights(spec, weights, include_top=include_top))
    return built


def resolve_spec(model: str | os.PathLike | Sequence[int] | ArchSpec) -> ArchSpec:
    """The ArchSpec of a name, a JSON file, a genome of the search space "scarlet", or an ArchSpec itself."""
    if isinstance(model, ArchSpec):
        return model
    if isinstance(model, (str, os.PathLike)):
        text = os.fspath(model)
        if text in list_models():
            return get_spec(text)
        if text.endswith(".json"):
            return ArchSpec.load(text)
        if "," in text:
            return get_space("scarlet").spec(get_space("scarlet").parse(text))
        return get_spec(text)
    if isinstance(model, (Sequence, np.ndarray)):
        return get_space("scarlet").spec(model)
    raise SpecError(f"a model is a name, a spec's JSON file, a genome or an ArchSpec, got {type(model).__name__}")


def _read_weights(spec: ArchSpec, path: str | os.PathLike, *, include_top: bool) -> dict[str, np.ndarray]:
    """Named arrays of a file; the classifier's are left out where they are not wanted."""
    path = Path(path)
    if path.name.endswith(".keras"):
        arrays = get_weights(load_keras_file(path))
        return {key: array for key, array in arrays.items() if include_top or not key.startswith("classifier/")}
    if not path.name.endswith(".weights.h5"):
        raise ModelFileError(f"weights {str(path)!r}: expected a .weights.h5 or a .keras file")
    check_file(path)
    reader = build(spec, include_top=include_top)
    with warnings.catch_warnings(record=True) as skipped:  # Keras only warns where it leaves layers unassigned
        warnings.simplefilter("always", UserWarning)
        try:
            reader.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            raise ModelFileError(f"{path}: not readable as weights of {spec.name!r}: {error}") from error
    if skipped:
        raise ModelFileError(f"{path}: lacks weights of {spec.name!r}: {skipped[0].message}")
    return get_weights(reader)


def _named(model: str):
    """A function that creates one named network; takes `create_model`'s options."""

    def create(**options):
        return create_model(model, **options)

    create.__name__ = create.__qualname__ = model
    create.__doc__ = f"{model.upper().replace('_', '-')} of the paper's Tables 3 and 4. Arguments: see `create_model`."
    whole = inspect.signature(create_model)
    create.__signature__ = whole.replace(parameters=[p for p in whole.parameters.values() if p.name != "model"])
    return create


scarlet_a = _named("scarlet_a")
scarlet_b = _named("scarlet_b")
scarlet_c = _named("scarlet_c")
scarlet_a2 = _named("scarlet_a2")
scarlet_a4 = _named("scarlet_a4")
