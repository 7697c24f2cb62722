"""The starting point of a training run: a network, with or without weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.image_size import ImageSize
from scarlet_tf.models import get_weights
from scarlet_tf.paths import local_copy
from scarlet_tf.zoo.checks import check_model
from scarlet_tf.zoo.files import ModelFileError, read_training
from scarlet_tf.zoo.loading import open_model
from scarlet_tf.zoo.preprocessing import (
    ASSUMED_PREPROCESSING,
    Preprocessing,
    describe_assumption,
    read_preprocessing,
)
from scarlet_tf.zoo.registry import resolve_spec
from scarlet_tf.zoo.weights import IMAGENET, imagenet_weights, read_weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """A network to train.

    Attributes:
        weights: as `models.get_weights` names them; None for the official initialisation.
        preprocessing: of the images that the weights were trained on; None without weights: the dataset decides.
        note: a sentence for the user if the preprocessing is assumed; else None.
        origin: description of where the weights come from; None without weights.
    """

    spec: ArchSpec
    weights: Mapping[str, np.ndarray] | None = None
    preprocessing: Preprocessing | None = None
    note: str | None = None
    origin: str | None = None

    @property
    def mean(self) -> tuple[float, ...] | None:
        """Mean of the preprocessing, if there is one."""
        return self.preprocessing and self.preprocessing.mean

    @property
    def std(self) -> tuple[float, ...] | None:
        """Standard deviation of the preprocessing, if there is one."""
        return self.preprocessing and self.preprocessing.std

    @property
    def new_classifier(self) -> bool:
        """Whether there are weights, but none for the classifier."""
        return self.weights is not None and "classifier/kernel" not in self.weights

    def at_resolution(self, resolution: ImageSize) -> StartingPoint:
        """Return a copy for another image size in pixels: one side, or (height, width)."""
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, resolution=resolution))

    def for_classes(self, classes: int) -> StartingPoint:
        """Return a copy for `classes` classes, without the classifier's weights if their number differs."""
        spec, weights = dataclasses.replace(self.spec, classes=classes), self.weights
        if weights is not None and np.shape(weights.get("classifier/bias")) != (classes,):
            weights = {name: array for name, array in weights.items() if not name.startswith("classifier/")}
        return dataclasses.replace(self, spec=spec, weights=weights)


def starting_point(model: str | os.PathLike, *, weights: str | os.PathLike | None = None) -> StartingPoint:
    """Open the network, and its weights if any, that a training run starts from.

    Args:
        model: a zoo name, a spec's JSON file, a genome, or a trained model's folder, which has weights.
        weights: for all but a folder: "imagenet", or a .weights.h5 or .keras file.

    Raises:
        ValueError, FileNotFoundError: as `create_model`; and for weights with a folder, which has its own.

    Example:
        >>> start = starting_point("scarlet_a").for_classes(10)
        >>> start.weights is None
        True
    """
    check_model(model, weights=weights, keras_file=False)
    if local_copy(model).is_dir():
        loaded = open_model(model, weights=weights)
        return StartingPoint(
            spec=loaded.spec,
            weights=get_weights(loaded.model),
            preprocessing=loaded.preprocessing,
            note=loaded.note,
            origin=describe_origin(model),
        )
    spec = resolve_spec(model)
    if weights is None:
        return StartingPoint(spec=spec)
    path = imagenet_weights(spec.name) if weights == IMAGENET else local_copy(weights)
    arrays = _any_classes(spec, path)
    said = read_preprocessing(path)
    return StartingPoint(
        spec=spec,
        weights=arrays,
        preprocessing=said or ASSUMED_PREPROCESSING,
        note=None if said else describe_assumption(path),
        origin=describe_origin(model, weights=weights),
    )


def describe_origin(model: str | os.PathLike, *, weights: str | os.PathLike | None = None) -> str:
    """Describe where a model's weights come from; a file or folder by its name alone.

    Args:
        model, weights: as `starting_point` takes them.
    """
    path = local_copy(model)
    if not path.is_dir():
        source = "the official ImageNet weights" if weights == IMAGENET else f"the weights in {Path(weights).name}"
        return f"{resolve_spec(model).name}, {source}"
    data = ((read_training(path) or {}).get("data") or {}).get("name")
    return path.resolve().name + (f", trained on {data}" if data else "")


def _any_classes(spec: ArchSpec, path: Path) -> Mapping[str, np.ndarray]:
    """Read a file's arrays, with the classifier's if it fits the spec's classes, or the file records their number."""
    try:
        return read_weights(spec, path, include_top=True)
    except ModelFileError:
        return read_weights(spec, path, include_top=False)
