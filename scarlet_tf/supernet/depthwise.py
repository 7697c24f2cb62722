"""Depthwise convolution with PyTorch's padding, and at stride 2 a faster gradient of its input."""

from __future__ import annotations

import tensorflow as tf


def depthwise(x: tf.Tensor, kernel: tf.Tensor, *, kernel_size: int, stride: int) -> tf.Tensor:
    """Depthwise convolution padded by kernel_size//2 on every side: (B, H, W, C), (k, k, C, 1) -> (B, H', W', C)."""
    if stride == 1:
        return tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "SAME")
    return _depthwise_stride2(x, kernel, kernel_size)


def _depthwise_stride2(x: tf.Tensor, kernel: tf.Tensor, kernel_size: int) -> tf.Tensor:
    pad = (kernel_size // 2, kernel_size // 2)
    padding = ((0, 0), pad, pad, (0, 0))

    @tf.custom_gradient
    def run(x, kernel):
        padded = tf.pad(x, padding)

        def gradient(dy):
            dkernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=padded, filter_sizes=kernel.shape, out_backprop=dy, strides=(1, 2, 2, 1), padding="VALID"
            )
            return _input_gradient(dy, kernel, side=x.shape[1:3], kernel_size=kernel_size), dkernel

        return tf.nn.depthwise_conv2d(padded, kernel, (1, 2, 2, 1), "VALID"), gradient

    return run(x, kernel)


def _input_gradient(dy: tf.Tensor, kernel: tf.Tensor, *, side, kernel_size: int) -> tf.Tensor:
    """Gradient of the unpadded input: (B, h, w, C) -> (B, H, W, C).

    A padded input row 2j+a meets only the kernel rows a, a+2, .., each with one output row. So the rows and columns
    of each parity are a small stride-1 convolution of dy with every second kernel tap: as many multiply-adds as the
    forward pass, where TensorFlow's CPU kernel for strided input gradients does several times that (7x7, 144
    channels, 8x8 maps: 12 ms against 3).
    """
    pad, taps = kernel_size // 2, (kernel_size + 1) // 2
    height, width = ((n + 2 * pad + 1) // 2 for n in side)  # pairs of padded rows and columns
    extra = [(taps - 1, pairs - n) for pairs, n in zip((height, width), dy.shape[1:3], strict=True)]
    padded = tf.pad(dy, ((0, 0), *extra, (0, 0)))

    def of_parity(row: int, column: int) -> tf.Tensor:
        every_second = kernel[row::2, column::2][::-1, ::-1]
        skip = [taps - n for n in every_second.shape[:2]]
        return tf.nn.depthwise_conv2d(padded[:, skip[0] :, skip[1] :], every_second, (1, 1, 1, 1), "VALID")

    rows = [tf.stack([of_parity(row, 0), of_parity(row, 1)], axis=3) for row in (0, 1)]
    whole = tf.reshape(tf.stack(rows, axis=2), (-1, 2 * height, 2 * width, dy.shape[-1]))
    return whole[:, pad : pad + side[0], pad : pad + side[1]]
