"""A model's weights as a dict of named arrays, and its batch-normalisation statistics measured anew.

Names are "layer/variable", such as "block03_expand_conv/kernel" or "tail_bn/moving_mean".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np


class WeightsMismatchError(ValueError):
    """Error for weights that do not fit a model; the message lists the first names that differ."""


def named_variables(model) -> dict[str, object]:
    """Return all variables of the model by name, including moving statistics."""
    named = {}
    for layer in model.layers:
        for variable in layer.weights:
            # Keras 3 says "kernel"; tf_keras "layer/kernel:0", and "depthwise_kernel" in a depthwise convolution.
            short = variable.name.split("/")[-1].split(":")[0].removeprefix("depthwise_")
            named[f"{layer.name}/{short}"] = variable
    return named


def get_weights(model) -> dict[str, np.ndarray]:
    """Return copies of the values of `named_variables`."""
    return {name: np.asarray(variable.numpy()) for name, variable in named_variables(model).items()}


def set_weights(model, weights: Mapping[str, np.ndarray]) -> None:
    """Assign all variables of the model.

    Raises:
        WeightsMismatchError: if names or shapes differ; nothing is assigned then.
    """
    variables = named_variables(model)
    problems = [f"missing {name}" for name in variables if name not in weights]
    problems += [f"unexpected {name}" for name in weights if name not in variables]
    problems += [
        f"{name} has shape {tuple(np.shape(weights[name]))}, expected {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in weights and tuple(np.shape(weights[name])) != tuple(variable.shape)
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise WeightsMismatchError(f"weights do not fit model {model.name!r}: {'; '.join(problems[:3])}{more}")
    for name, variable in variables.items():
        variable.assign(weights[name])


def measure_batch_norms(model: keras.Model, batches: Iterable) -> None:
    """Set all moving means and variances to their averages over some batches, float32 (B, H, W, C) each.

    With a single batch they are exactly the statistics that training mode normalises it with.

    Needed before outputs of an untrained network are compared. With the initial statistics (0 and 1), activations
    shrink from block to block, to logits of about 1e-11 in SCARLET-A, and its softmax returns 1/classes for any image.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    try:
        for done, images in enumerate(batches):
            for layer in norms:
                layer.momentum = done / (done + 1)
            model(images, training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
