"""Inverted residual blocks (paper: Table 1)."""

from __future__ import annotations

from scarlet_tf.arch import BlockSpec
from scarlet_tf.layers.activations import activation
from scarlet_tf.layers.convolution import BatchNorm, conv_bn, depthwise_bn
from scarlet_tf.layers.squeeze_excite import squeeze_excite


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
