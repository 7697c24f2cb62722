"""The trained network that a compression starts from."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.compression.config import CompressionError
from scarlet_tf.export import fold_model, in_float32
from scarlet_tf.layers import BatchNorm
from scarlet_tf.models import get_weights
from scarlet_tf.paths import local_copy
from scarlet_tf.training.folder import weights_digest
from scarlet_tf.zoo import Preprocessing, open_model
from scarlet_tf.zoo.starting import describe_origin


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A trained network whose foldable LETs are folded.

    LETs are folded first because folding multiplies kernels, which would destroy zeros and shared values.

    Attributes:
        weights: as `models.get_weights` names them.
        bn: settings of its batch normalisations.
        fingerprint: of the run that trained it, or a digest of the weights if that is unknown.
        origin: description of where the weights come from.
        preprocessing: of its images.
        note: a sentence for the user if the preprocessing is assumed; else None.
        class_names: by output; None if unknown.
    """

    spec: ArchSpec
    weights: dict[str, np.ndarray]
    input_shape: tuple[int, int, int]
    bn: BatchNorm
    fingerprint: str
    origin: str
    preprocessing: Preprocessing
    note: str | None = None
    class_names: tuple[str, ...] | None = None


def open_source(model: str | os.PathLike, *, weights: str | os.PathLike | None = None) -> Source:
    """Open the trained network to compress.

    Args:
        model, weights: as in `zoo.open_model`.

    Raises:
        CompressionError: for initial weights, and for a lone `.keras` file, which does not say which network it is.
        ValueError, FileNotFoundError: as `open_model`.
    """
    loaded = open_model(model, weights=weights)
    if loaded.spec is None:
        raise CompressionError(f"{model}: expected a trained model's folder, or a spec with weights, got a file")
    if not loaded.from_file:
        raise CompressionError(f"{model} has no trained weights, which compression starts from")
    network, spec = in_float32(loaded.model), loaded.spec
    original = get_weights(network)
    if any(block.kind == "let" for block in spec.blocks):
        network, folded = fold_model(network, spec)
        spec = folded.spec
    norm = network.get_layer("stem_bn")
    return Source(
        spec=spec,
        weights=get_weights(network),
        input_shape=network.input_shape[1:],
        bn=BatchNorm(epsilon=norm.epsilon, momentum=norm.momentum),
        fingerprint=_fingerprint(local_copy(model)) or weights_digest(original)[:16],
        origin=describe_origin(model, weights=weights),
        preprocessing=loaded.preprocessing,
        note=loaded.note,
        class_names=tuple((loaded.training or {}).get("class_names") or ()) or None,
    )


def _fingerprint(folder: Path) -> str | None:
    path = folder / "training.json"
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise CompressionError(f"{path} is damaged: {error}") from error
