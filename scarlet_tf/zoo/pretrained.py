"""Location of the official ImageNet weights after conversion; they are not part of this project."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from scarlet_tf.files import expand_user, user_cache
from scarlet_tf.zoo.files import MissingWeightsError
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
