"""A model from what a user names: a zoo name, a spec, a genome, a `.keras` file, or a trained model's folder."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import keras

from scarlet_tf.arch import ArchSpec
from scarlet_tf.zoo.create import create_model, resolve_spec
from scarlet_tf.zoo.files import ModelFileError, check_file, load_keras_file
from scarlet_tf.zoo.preprocessing import IMAGENET_PREPROCESSING


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A Keras model, its ArchSpec where that is known, and whether its weights came from a file.

    A lone `.keras` file has no spec; a name, spec or genome without weights has the initial ones.

    Attributes:
        training: the content of a folder's training.json; None for everything else.
    """

    model: keras.Model
    spec: ArchSpec | None
    from_file: bool
    training: dict | None = None

    @property
    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Of the pixels over 255, per channel, that its images are normalised with: as trained, or ImageNet's."""
        if self.training is None:
            return list(IMAGENET_PREPROCESSING.mean), list(IMAGENET_PREPROCESSING.std)
        return self.training["data"]["mean"], self.training["data"]["std"]


def open_model(model: str | os.PathLike, *, weights: str | os.PathLike | None = None) -> LoadedModel:
    """A model from what a user names on a command line.

    Args:
        model: a zoo name, a spec's JSON file, a genome as text, a `.keras` file, or a trained model's folder
            (spec.json beside model.keras).
        weights: for a name, spec or genome only: a `.weights.h5` or `.keras` file; None for the initial weights.

    Raises:
        ValueError, FileNotFoundError: as `create_model`; and for weights beside a model that has its own.
    """
    path = Path(model)
    is_folder, is_keras = path.is_dir(), path.name.endswith(".keras")
    if not (is_folder or is_keras):
        spec = resolve_spec(model)
        return LoadedModel(model=create_model(spec, weights=weights), spec=spec, from_file=weights is not None)
    if weights is not None:
        raise ValueError(f"weights {str(weights)!r}: {str(model)!r} has its own weights")
    if is_keras:
        return LoadedModel(model=load_keras_file(path), spec=None, from_file=True)
    spec = ArchSpec.load(check_file(path / "spec.json"))
    model = load_keras_file(path / "model.keras")
    return LoadedModel(model=model, spec=spec, from_file=True, training=read_training(path))


def read_training(folder: str | os.PathLike) -> dict | None:
    """What a trained model's folder says about its training; None where there is nothing, as for every other name."""
    record = Path(folder) / "training.json"
    try:
        return json.loads(record.read_text()) if record.exists() else None
    except ValueError as error:
        raise ModelFileError(f"{record}: not JSON: {error}") from error
