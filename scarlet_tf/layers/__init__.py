"""Layers of the networks, written once for both Keras modules (keras and tf_keras).

Every function takes a tensor and `keras`, the module whose built-in layers it uses, and returns a tensor. Only built-in
layers are used, so a saved `.keras` file loads anywhere. Layer names are also the names of the weights; see
`scarlet_tf.models.weights`.
"""

from scarlet_tf.layers.activations import h_sigmoid, h_swish, relu6
from scarlet_tf.layers.blocks import (
    fused_inverted_residual,
    identity,
    inverted_residual,
    linearly_equivalent_transform,
    squeeze_excite,
)
from scarlet_tf.layers.convolution import BatchNorm, conv_bn, depthwise_bn, normalise

__all__ = [
    "BatchNorm",
    "conv_bn",
    "depthwise_bn",
    "fused_inverted_residual",
    "h_sigmoid",
    "h_swish",
    "identity",
    "inverted_residual",
    "linearly_equivalent_transform",
    "normalise",
    "relu6",
    "squeeze_excite",
]
