"""The one place where a network is assembled."""

from __future__ import annotations

import keras as keras3

from scarlet_tf.arch import ArchSpec
from scarlet_tf.layers import (
    BatchNorm,
    conv_bn,
    depthwise_bn,
    identity,
    inverted_residual,
    linearly_equivalent_transform,
    relu6,
)

_BLOCKS = {
    "inverted_residual": inverted_residual,
    "identity": lambda x, block, *, bn, **where: identity(x, block, **where),
    "let": lambda x, block, *, bn, **where: linearly_equivalent_transform(x, block, **where),
}


def block_name(index: int) -> str:
    """Prefix of the names of a block's layers."""
    return f"block{index:02d}"


def build(
    spec: ArchSpec,
    *,
    keras=keras3,
    include_top: bool = True,
    input_shape: tuple[int | None, int | None, int] | None = None,
    batch_size: int | None = None,
    classifier_activation: str | None = "softmax",
    bn: BatchNorm | None = None,
    name: str | None = None,
):
    """A `keras.Model` of the spec.

    Args:
        keras: the module to build with, keras (3) or tf_keras; the same layers in the same order either way.
        include_top: with the global pool, dropout and classifier; without, the model gives the tail's feature map.
        input_shape: (height, width, channels); height and width may be None. Default: the spec's resolution, square.
        batch_size: a fixed batch, or None.
        classifier_activation: "softmax", or None for logits.

    Returns:
        A functional model: (B, H, W, channels) -> (B, classes), or (B, h, w, tail_channels) without the top.
    """
    bn = bn or BatchNorm()
    input_shape = input_shape or (spec.resolution, spec.resolution, spec.input_channels)
    inputs = keras.Input(input_shape, batch_size=batch_size, name="image")
    x = conv_bn(inputs, spec.stem_channels, kernel_size=3, stride=spec.stem_stride, keras=keras, bn=bn, name="stem")
    x = relu6(x, keras=keras, name="stem_relu6")
    x = depthwise_bn(x, kernel_size=3, keras=keras, bn=bn, name="separable_depthwise")
    x = relu6(x, keras=keras, name="separable_relu6")
    x = conv_bn(x, spec.first_channels, keras=keras, bn=bn, name="separable_project")
    for index, block in enumerate(spec.blocks):
        x = _BLOCKS[block.kind](x, block, keras=keras, bn=bn, name=block_name(index))
    x = conv_bn(x, spec.tail_channels, keras=keras, bn=bn, name="tail")
    x = relu6(x, keras=keras, name="tail_relu6")
    if include_top:
        x = _top(x, spec, classifier_activation=classifier_activation, keras=keras)
    return keras.Model(inputs, x, name=name or spec.name)


def _top(x, spec: ArchSpec, *, classifier_activation: str | None, keras):
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(spec.dropout, name="dropout")(x)
    limit = spec.classes**-0.5  # official initialisation: U(+-1/sqrt(out))
    return keras.layers.Dense(
        spec.classes,
        activation=classifier_activation,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        name="classifier",
    )(x)
