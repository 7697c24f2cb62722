"""The builder, the one place where networks are assembled."""

from __future__ import annotations

from collections.abc import Sequence

import keras as keras3

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.choices import check_known
from scarlet_tf.layers import (
    BatchNorm,
    conv_bn,
    depthwise_bn,
    fused_inverted_residual,
    identity,
    inverted_residual,
    linearly_equivalent_transform,
    normalise,
    relu6,
)

_BLOCKS = {
    "inverted_residual": inverted_residual,
    "fused_inverted_residual": fused_inverted_residual,
    "identity": lambda x, block, *, bn, **where: identity(x, block, **where),
    "let": lambda x, block, *, bn, **where: linearly_equivalent_transform(x, block, **where),
    "let_relu": lambda x, block, *, bn, **where: linearly_equivalent_transform(x, block, **where),
}


def block_name(index: int) -> str:
    """Return the prefix of the layer names of a block."""
    return f"block{index:02d}"


POOLINGS = ("avg", "max")


def build(
    spec: ArchSpec,
    *,
    keras=keras3,
    include_top: bool = True,
    input_shape: tuple[int | None, int | None, int] | None = None,
    input_tensor=None,
    batch_size: int | None = None,
    pooling: str | None = None,
    classifier_activation: str | None = "softmax",
    mean_and_std: tuple[Sequence[float], Sequence[float]] | None = None,
    bn: BatchNorm | None = None,
    name: str | None = None,
):
    """Return a `keras.Model` of the spec.

    Args:
        spec: the network.
        keras: the module to build with, keras (3) or tf_keras. The layers and their order are the same.
        include_top: whether to add the global pool, dropout and classifier. Otherwise the model returns the tail's
            feature map.
        input_shape: (height, width, channels); height and width may be None. Default: the spec's.
        input_tensor: a Keras tensor to use as input, instead of a new one.
        batch_size: a fixed batch size, or None.
        pooling: without the top, "avg" or "max" pooling of the feature map; None keeps the map.
        classifier_activation: "softmax", or None for logits.
        mean_and_std: if given, the model takes pixels, 0..255, and normalises them itself; see `layers.normalise`.
        bn: settings of batch normalisation. Default: the official model's.
        name: name of the model. Default: the spec's.

    Returns:
        A functional model: (B, H, W, channels) -> (B, classes). Without the top it returns (B, h, w, tail_channels),
        or pooled (B, tail_channels).

    Raises:
        ValueError: for an unknown pooling.
    """
    bn = bn or BatchNorm()
    if input_tensor is None:
        shape = input_shape or spec.input_shape
        input_tensor = keras.Input(shape, batch_size=batch_size, name="image")
    x = input_tensor
    if mean_and_std is not None:
        mean, std = mean_and_std
        x = normalise(x, mean=mean, std=std, keras=keras, name="normalise")
    x = apply_stem(x, spec, keras=keras, bn=bn)
    for index, block in enumerate(spec.blocks):
        x = apply_block(x, block, keras=keras, bn=bn, name=block_name(index))
    x = apply_tail(x, spec, keras=keras, bn=bn)
    if include_top:
        x = apply_top(x, spec, keras=keras, classifier_activation=classifier_activation)
    elif pooling is not None:
        x = _pooled(x, pooling, keras=keras)
    sources = keras.utils.get_source_inputs(input_tensor)
    return keras.Model(sources[0] if len(sources) == 1 else sources, x, name=name or spec.name)


def apply_stem(x, spec: ArchSpec, *, keras=keras3, bn: BatchNorm):
    """Apply the stem and the separable convolution: (B, H, W, channels) -> (B, h, w, first_channels), Keras tensors.

    Args:
        x: normalised images.
        spec: the network.
        keras: as for `build`.
        bn: settings of batch normalisation.
    """
    x = conv_bn(x, spec.stem_channels, kernel_size=3, stride=spec.stem_stride, keras=keras, bn=bn, name="stem")
    x = relu6(x, keras=keras, name="stem_relu6")
    x = depthwise_bn(x, kernel_size=3, keras=keras, bn=bn, name="separable_depthwise")
    x = relu6(x, keras=keras, name="separable_relu6")
    return conv_bn(x, spec.first_channels, keras=keras, bn=bn, name="separable_project")


def apply_block(x, block: BlockSpec, *, keras=keras3, bn: BatchNorm, name: str):
    """Apply a block: (B, H, W, in) -> (B, ceil(H/stride), ceil(W/stride), out), Keras tensors.

    Args:
        x: feature map.
        block: the block.
        keras, bn: as for `apply_stem`.
        name: prefix of the layer names.
    """
    return _BLOCKS[block.kind](x, block, keras=keras, bn=bn, name=name)


def apply_tail(x, spec: ArchSpec, *, keras=keras3, bn: BatchNorm):
    """Apply the tail convolution: (B, H, W, channels) -> (B, H, W, tail_channels); arguments as for `apply_stem`."""
    x = conv_bn(x, spec.tail_channels, keras=keras, bn=bn, name="tail")
    return relu6(x, keras=keras, name="tail_relu6")


def apply_top(x, spec: ArchSpec, *, keras=keras3, classifier_activation: str | None = "softmax"):
    """Apply global pool, dropout and classifier: (B, H, W, tail_channels) -> (B, classes); arguments as for `build`."""
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(spec.dropout, name="dropout")(x)
    limit = spec.classes**-0.5  # official initialisation: U(+-1/sqrt(out))
    return keras.layers.Dense(
        spec.classes,
        activation=classifier_activation,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        name="classifier",
    )(x)


def _pooled(x, pooling: str, *, keras):
    check_known("pooling", pooling, POOLINGS)
    layers = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
    return layers[pooling](name=f"{pooling}_pool")(x)
