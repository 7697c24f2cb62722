"""Loading of a model by reference: a zoo name, a spec, a genome, a `.keras` file, or a trained model's folder."""

from __future__ import annotations

import dataclasses
import os

import keras

from scarlet_tf.arch import ArchSpec
from scarlet_tf.paths import local_copy
from scarlet_tf.zoo.checks import check_model
from scarlet_tf.zoo.create import create_model
from scarlet_tf.zoo.files import check_file, load_keras_file, read_training
from scarlet_tf.zoo.preprocessing import (
    ASSUMED_PREPROCESSING,
    Preprocessing,
    describe_assumption,
    read_preprocessing,
)
from scarlet_tf.zoo.registry import resolve_spec
from scarlet_tf.zoo.weights import IMAGENET, imagenet_weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A Keras model, its ArchSpec if known, and whether its weights came from a file.

    A lone `.keras` file has no spec. A name, spec or genome without weights has the initial ones.

    Attributes:
        training: content of a folder's training.json; None for everything else.
        preprocessing: of the model's images: what its files record, see `read_preprocessing`; that of plain pixels if
            the model normalises them itself; else ASSUMED_PREPROCESSING.
        note: a sentence for the user if the preprocessing is assumed for weights from a file; else None.
    """

    model: keras.Model
    from_file: bool
    spec: ArchSpec | None = None
    training: dict | None = None
    preprocessing: Preprocessing = ASSUMED_PREPROCESSING
    note: str | None = None

    @property
    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Mean and std of the pixels over 255, per channel, for normalising images."""
        return list(self.preprocessing.mean), list(self.preprocessing.std)


def open_model(model: str | os.PathLike, *, weights: str | os.PathLike | None = None) -> LoadedModel:
    """Open a model by the reference that tools take as --model.

    Args:
        model: a zoo name, a spec's JSON file, a genome as text, a `.keras` file, or a trained model's folder
            (spec.json beside model.keras).
        weights: only for a name, spec or genome: "imagenet", or a `.weights.h5` or `.keras` file; None for the initial
            weights.

    Raises:
        ValueError, FileNotFoundError: as `create_model`; and for weights of a model that has its own.

    Example:
        >>> trained = open_model("zoo/weights/scarlet_fashion")
        >>> mean, std = trained.mean_and_std
    """
    check_model(model, weights=weights)
    path = local_copy(model)
    if path.name.endswith(".keras"):
        return _loaded(load_keras_file(path), path)
    if not path.is_dir():
        spec = resolve_spec(model)
        file = imagenet_weights(spec.name) if weights == IMAGENET else weights
        return _loaded(create_model(spec, weights=weights), file, spec=spec)
    spec = ArchSpec.load(check_file(path / "spec.json"))
    training = read_training(path)
    return _loaded(load_keras_file(path / "model.keras"), path, spec=spec, training=training)


def _loaded(network: keras.Model, source: str | os.PathLike | None, **known) -> LoadedModel:
    """Return a model with its preprocessing.

    Args:
        source: the file or folder of its weights, or None.
    """
    said = None if source is None else read_preprocessing(source)
    if _normalises(network):
        said = (said or ASSUMED_PREPROCESSING).of_pixels()
    note = describe_assumption(source) if source is not None and said is None else None
    return LoadedModel(
        model=network, from_file=source is not None, preprocessing=said or ASSUMED_PREPROCESSING, note=note, **known
    )


def _normalises(network: keras.Model) -> bool:
    """Return whether the model takes pixels, 0..255, as those of `create_model(include_preprocessing=True)` do."""
    return any(isinstance(layer, keras.layers.Rescaling) and layer.name == "normalise" for layer in network.layers)
