"""Feature maps of a built model at several strides, for detection and segmentation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scarlet_tf.choices import require_known

_PARTS = re.compile(r"(stem|separable|block\d+)_")


DEFAULT_LEVELS = ("P2", "P3", "P4", "P5")


def feature_extractor(model, levels: Sequence[str] | None = None):
    """A model with the same layers and weights that gives the last map of every wanted stride.

    Args:
        model: of `models.build` or `zoo.create_model`, Keras 3 or tf_keras, with or without the top.
        levels: "Pn" is the map at stride 2**n, (B, ceil(H / 2**n), ceil(W / 2**n), C): the output of the last block
            before the next halving; for the last level that is what the 1x1 tail convolution takes. None: those of
            DEFAULT_LEVELS that the model has; one that halves less than twice has others only.

    Returns:
        A model from the images to a dict of maps by level.

    Raises:
        ValueError: for a level that the model does not have, naming those that it has, and for no list of levels.
    """
    found = _last_layers(model)
    if not found:
        raise ValueError(
            f"{model.name!r} has none of these networks' layers: expected a model of build or create_model; where one "
            "is a layer of another model, that layer"
        )
    if levels is None:
        levels = [level for level in DEFAULT_LEVELS if level in found] or list(found)
    if isinstance(levels, str):
        raise ValueError(f"levels must be a list such as {[levels] if levels in found else [*found]}, got {levels!r}")
    if not levels:
        raise ValueError(f"expected at least one level of {tuple(found)}, got {levels!r}")
    for level in levels:
        require_known("level", level, tuple(found))
    outputs = {level: found[level].output for level in levels}
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return type(model)(inputs, outputs, name=f"{model.name}_features")


def _last_layers(model) -> dict[str, object]:
    """Level -> the last layer of the last part of the body at that stride."""
    parts: dict[str, list] = {}
    for layer in model.layers:
        if named := _PARTS.match(layer.name):
            parts.setdefault(named[1], []).append(layer)
    found, halvings = {}, 0
    for layers in parts.values():
        halvings += sum(tuple(getattr(layer, "strides", ())) == (2, 2) for layer in layers)
        found[f"P{halvings}"] = layers[-1]
    return found
