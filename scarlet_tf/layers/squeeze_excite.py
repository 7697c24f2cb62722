"""Squeeze-and-excite on NHWC maps (Hu, Shen, and Sun 2018; paper: "Search Space")."""

from __future__ import annotations

from scarlet_tf.layers.activations import h_sigmoid


def squeeze_excite(x, se_channels: int, *, keras, name: str):
    """Apply x * h-sigmoid(expand(relu(reduce(mean(x))))): (B, H, W, C) -> the same shape.

    The layers are 1x1 convolutions on (B, 1, 1, C), not Dense: the TFLite converter turns them into fewer operators.
    """
    channels = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    gate = keras.layers.Conv2D(
        se_channels, 1, activation="relu", kernel_initializer=_normal(keras, se_channels), name=f"{name}_reduce"
    )(gate)
    gate = keras.layers.Conv2D(channels, 1, kernel_initializer=_normal(keras, channels), name=f"{name}_expand")(gate)
    gate = h_sigmoid(gate, keras=keras, name=f"{name}_gate")
    return keras.layers.Multiply(name=f"{name}_excite")([x, gate])


def _normal(keras, filters: int):
    return keras.initializers.RandomNormal(stddev=(2.0 / filters) ** 0.5)
