"""The same network as a tf_keras model, which tensorflow-model-optimization needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tf_keras

from scarlet_tf.arch import ArchSpec
from scarlet_tf.layers import BatchNorm
from scarlet_tf.models import build, set_weights


def make_twin(
    spec: ArchSpec,
    weights: Mapping[str, np.ndarray],
    *,
    input_shape: tuple[int, int, int],
    bn: BatchNorm | None = None,
):
    """Return a tf_keras model with the logits of the Keras 3 model with these weights, up to rounding; no dropout.

    Args:
        weights: as `models.get_weights` names them; `get_weights` of the twin returns them.
        input_shape: (height, width, channels).
    """
    spec = dataclasses.replace(spec, dropout=0.0)
    twin = build(spec, keras=tf_keras, input_shape=input_shape, classifier_activation=None, bn=bn)
    set_weights(twin, weights)
    return twin


def clone_with(twin, wrap: Callable):
    """Return a model of the twin's own layers and variables, each layer as `wrap` returns it: itself, or wrapped."""
    return tf_keras.models.clone_model(twin, clone_function=wrap)


def has_dense_kernel(layer) -> bool:
    """Return whether the layer is dense, or a convolution over all input channels; a depthwise one is not."""
    return type(layer) in (tf_keras.layers.Conv2D, tf_keras.layers.Dense)
