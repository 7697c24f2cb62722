"""Feature maps of a built model at several strides, for detection and segmentation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scarlet_tf.choices import check_known

_PARTS = re.compile(r"(stem|separable|block\d+)_")


DEFAULT_LEVELS = ("P2", "P3", "P4", "P5")


def feature_extractor(model, levels: Sequence[str] | None = None):
    """Return a model that outputs the last feature map at each of several strides, with the same layers and weights.

    Args:
        model: a model of `models.build` or `zoo.create_model`, Keras 3 or tf_keras, with or without the top.
        levels: "Pn" is the feature map at stride 2**n, (B, ceil(H / 2**n), ceil(W / 2**n), C): the output of the last
            block before the next halving. For the last level, that is the input of the 1x1 tail convolution. Default:
            those of DEFAULT_LEVELS that the model has, or all levels of a model that halves less than twice.

    Returns:
        A model from images to a dict of feature maps by level.

    Raises:
        ValueError: for a level that the model does not have, naming those that it has; for an empty list or a string;
            for a model that `build` did not make.

    Example:
        >>> from scarlet_tf.zoo import create_model
        >>> features = feature_extractor(create_model("scarlet_a"), levels=("P3", "P5"))
        >>> sorted(features.output)
        ['P3', 'P5']
    """
    found = _last_layers(model)
    if not found:
        raise ValueError(
            f"{model.name!r} has no layers of these networks: expected a model from build or create_model; if it is a "
            "layer of another model, pass that layer"
        )
    if levels is None:
        levels = [level for level in DEFAULT_LEVELS if level in found] or list(found)
    if isinstance(levels, str):
        raise ValueError(f"levels must be a list such as {[levels] if levels in found else [*found]}, got {levels!r}")
    if not levels:
        raise ValueError(f"expected at least one level of {tuple(found)}, got {levels!r}")
    for level in levels:
        check_known("level", level, tuple(found))
    outputs = {level: found[level].output for level in levels}
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return type(model)(inputs, outputs, name=f"{model.name}_features")


def _last_layers(model) -> dict[str, object]:
    """Return, by level, the last layer of the body at that stride."""
    parts: dict[str, list] = {}
    for layer in model.layers:
        if named := _PARTS.match(layer.name):
            parts.setdefault(named[1], []).append(layer)
    found, halvings = {}, 0
    for layers in parts.values():
        halvings += sum(tuple(getattr(layer, "strides", ())) == (2, 2) for layer in layers)
        found[f"P{halvings}"] = layers[-1]
    return found
