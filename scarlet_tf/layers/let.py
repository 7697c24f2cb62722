"""The identity and its linearly equivalent transformation, LET (paper: Fig. 2, footnote 4)."""

from __future__ import annotations

from scarlet_tf.arch import BlockSpec


def identity(x, block: BlockSpec, *, keras, name: str):
    """Return x; at stride 2, apply a 2x2 max pool that keeps an odd last row and column, as the convolutions do."""
    if block.stride == 1:
        return x
    return keras.layers.MaxPooling2D(2, strides=2, padding="same", name=f"{name}_pool")(x)


def linearly_equivalent_transform(x, block: BlockSpec, *, keras, name: str):
    """Apply a max pool at stride 2, then a 1x1 convolution without bias or BN; kind "let_relu" adds a ReLU."""
    conv = keras.layers.Conv2D(
        block.out_channels,
        1,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(stddev=(2.0 / block.out_channels) ** 0.5),
        name=f"{name}_let",
    )
    x = conv(identity(x, block, keras=keras, name=name))
    return keras.layers.ReLU(name=f"{name}_let_relu")(x) if block.kind == "let_relu" else x
