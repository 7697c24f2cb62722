"""A model from what a user names: a zoo name, a spec, a genome, a `.keras` file, or a trained model's folder."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import keras

from scarlet_tf.arch import ArchSpec
from scarlet_tf.zoo.checks import require_model
from scarlet_tf.zoo.create import create_model
from scarlet_tf.zoo.files import check_file, load_keras_file, read_training
from scarlet_tf.zoo.preprocessing import IMAGENET_PREPROCESSING
from scarlet_tf.zoo.registry import resolve_spec


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
    require_model(model, weights=weights)
    path = Path(model)
    if path.name.endswith(".keras"):
        return LoadedModel(model=load_keras_file(path), spec=None, from_file=True)
    if not path.is_dir():
        spec = resolve_spec(model)
        return LoadedModel(model=create_model(spec, weights=weights), spec=spec, from_file=weights is not None)
    spec = ArchSpec.load(check_file(path / "spec.json"))
    model = load_keras_file(path / "model.keras")
    return LoadedModel(model=model, spec=spec, from_file=True, training=read_training(path))
