"""The same network as a tf_keras model, the form that tensorflow-model-optimization takes."""

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
    """A tf_keras model that gives the logits of the Keras 3 model with these weights, to rounding; without dropout.

    Args:
        weights: as `models.get_weights` names them; `get_weights` of the twin gives them back.
        input_shape: (height, width, channels).
    """
    spec = dataclasses.replace(spec, dropout=0.0)
    twin = build(spec, keras=tf_keras, input_shape=input_shape, classifier_activation=None, bn=bn)
    set_weights(twin, weights)
    return twin


def clone_with(twin, wrap: Callable):
    """A model of the twin's own layers, variables included, each as `wrap` returns it: itself, or in a wrapper."""
    return tf_keras.models.clone_model(twin, clone_function=wrap)


def has_dense_kernel(layer) -> bool:
    """Whether the layer is a convolution over all input channels or a dense layer; a depthwise one is not."""
    return type(layer) in (tf_keras.layers.Conv2D, tf_keras.layers.Dense)
