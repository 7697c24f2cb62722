"""Choice blocks: inverted residuals with squeeze-and-excite, the identity, and its transformation (paper: Table 1)."""

from __future__ import annotations

from scarlet_tf.arch import BlockSpec
from scarlet_tf.layers.activations import activation, h_sigmoid
from scarlet_tf.layers.convolution import BatchNorm, conv_bn, depthwise_bn, normal


def inverted_residual(x, block: BlockSpec, *, keras, bn: BatchNorm, name: str):
    """Apply expand, depthwise, SE, project, shortcut: (B, H, W, in) -> (B, ceil(H/stride), ceil(W/stride), out)."""
    y = conv_bn(x, block.hidden_channels, keras=keras, bn=bn, name=f"{name}_expand")
    y = activation(block.activation, y, keras=keras, name=f"{name}_expand_{block.activation}")
    y = depthwise_bn(
        y, kernel_size=block.kernel_size, stride=block.stride, keras=keras, bn=bn, name=f"{name}_depthwise"
    )
    y = activation(block.activation, y, keras=keras, name=f"{name}_depthwise_{block.activation}")
    return _project(x, y, block, keras=keras, bn=bn, name=name)


def fused_inverted_residual(x, block: BlockSpec, *, keras, bn: BatchNorm, name: str):
    """Apply expand with the block's kernel, SE, project, shortcut (EfficientNetV2); shapes as `inverted_residual`."""
    how = {"kernel_size": block.kernel_size, "stride": block.stride, "keras": keras, "bn": bn}
    y = conv_bn(x, block.hidden_channels, **how, name=f"{name}_expand")
    y = activation(block.activation, y, keras=keras, name=f"{name}_expand_{block.activation}")
    return _project(x, y, block, keras=keras, bn=bn, name=name)


def _project(x, y, block: BlockSpec, *, keras, bn: BatchNorm, name: str):
    if block.has_se:
        y = squeeze_excite(y, block.se_channels, keras=keras, name=f"{name}_se")
    y = conv_bn(y, block.out_channels, keras=keras, bn=bn, name=f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([x, y]) if block.shortcut else y


def squeeze_excite(x, se_channels: int, *, keras, name: str):
    """Apply x * h-sigmoid(expand(relu(reduce(mean(x))))) (Hu, Shen, and Sun 2018): (B, H, W, C) -> the same shape.

    The layers are 1x1 convolutions on (B, 1, 1, C), not Dense: the TFLite converter turns them into fewer operators.
    """
    channels = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    gate = keras.layers.Conv2D(
        se_channels, 1, activation="relu", kernel_initializer=normal(keras, filters=se_channels), name=f"{name}_reduce"
    )(gate)
    gate = keras.layers.Conv2D(channels, 1, kernel_initializer=normal(keras, filters=channels), name=f"{name}_expand")(
        gate
    )
    gate = h_sigmoid(gate, keras=keras, name=f"{name}_gate")
    return keras.layers.Multiply(name=f"{name}_excite")([x, gate])


def identity(x, block: BlockSpec, *, keras, name: str):
    """Return x; at stride 2, apply a 2x2 max pool that keeps an odd last row and column, as the convolutions do."""
    if block.stride == 1:
        return x
    return keras.layers.MaxPooling2D(2, strides=2, padding="same", name=f"{name}_pool")(x)


def linearly_equivalent_transform(x, block: BlockSpec, *, keras, name: str):
    """Apply a max pool at stride 2, then a 1x1 convolution without bias or BN (paper: Fig. 2, footnote 4).

    Kind "let_relu" adds a ReLU.
    """
    conv = keras.layers.Conv2D(
        block.out_channels,
        1,
        use_bias=False,
        kernel_initializer=normal(keras, filters=block.out_channels),
        name=f"{name}_let",
    )
    x = conv(identity(x, block, keras=keras, name=name))
    return keras.layers.ReLU(name=f"{name}_let_relu")(x) if block.kind == "let_relu" else x
