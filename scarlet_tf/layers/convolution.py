"""Convolutions with batch normalisation, PyTorch's padding and the official initialisation; pixel normalisation."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """Settings of a network's batch normalisation; the defaults are those of the official model.

    Attributes:
        epsilon: added to the variance.
        momentum: share of the old moving statistics that a step keeps (Keras's definition: 1 - PyTorch's).
        synchronized: whether batch statistics are those of all replicas of a tf.distribute strategy. Otherwise each
            replica keeps its own moving statistics.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9
    synchronized: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.epsilon, numbers.Real) or not 0 <= self.epsilon < math.inf:
            raise ValueError(f"epsilon of batch normalisation must be a number >= 0, got {self.epsilon!r}")
        if not isinstance(self.momentum, numbers.Real) or not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum of batch normalisation must be a number in [0, 1], got {self.momentum!r}")

    def __call__(self, x, *, keras, name: str):
        layer = keras.layers.BatchNormalization(
            epsilon=self.epsilon, momentum=self.momentum, synchronized=self.synchronized, name=name
        )
        return layer(x)


def normal(keras, *, filters: int, kernel_size: int = 1):
    """Return the official initialiser, N(0, sqrt(2 / (k*k*out)))."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2.0 / (kernel_size**2 * filters)))


def _padded(x, *, kernel_size: int, stride: int, keras, name: str):
    """Return a tensor and a padding mode that together put kernel_size//2 zeros on every side.

    At stride 1 that is "same". At stride 2 TensorFlow's "same" pads other sides, so a layer adds the zeros.
    """
    if stride == 1:
        return x, "same"
    return keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x), "valid"


def conv_bn(x, filters: int, *, keras, bn: BatchNorm, name: str, kernel_size: int = 1, stride: int = 1):
    """Apply a bias-free convolution and BN: (B, H, W, C) -> (B, ceil(H/stride), ceil(W/stride), filters)."""
    x, padding = _padded(x, kernel_size=kernel_size, stride=stride, keras=keras, name=name)
    conv = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer=normal(keras, kernel_size=kernel_size, filters=filters),
        name=f"{name}_conv",
    )
    return bn(conv(x), keras=keras, name=f"{name}_bn")


def depthwise_bn(x, *, keras, bn: BatchNorm, name: str, kernel_size: int, stride: int = 1):
    """Apply a bias-free depthwise convolution and BN: (B, H, W, C) -> (B, ceil(H/stride), ceil(W/stride), C)."""
    channels = x.shape[-1]
    x, padding = _padded(x, kernel_size=kernel_size, stride=stride, keras=keras, name=name)
    conv = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=stride,
        padding=padding,
        use_bias=False,
        depthwise_initializer=normal(keras, kernel_size=kernel_size, filters=channels),
        name=f"{name}_conv",
    )
    return bn(conv(x), keras=keras, name=f"{name}_bn")


def normalise(x, *, mean: Sequence[float], std: Sequence[float], keras, name: str):
    """Apply (x / 255 - mean) / std per channel: pixels (B, H, W, C), 0..255 -> the same shape.

    Args:
        mean, std: one number per channel, of pixels divided by 255.
    """
    scale = [1.0 / (255.0 * value) for value in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, name=name)(x)
