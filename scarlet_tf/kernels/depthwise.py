"""Depthwise convolution with PyTorch's padding, each of its passes by the quickest of TensorFlow's kernels.

With TF_ENABLE_ONEDNN_OPTS=1 TensorFlow's CPU kernels are replaced by oneDNN's, unless padding is given as EXPLICIT. The
form changes the kernel, not the result: oneDNN's are used at stride 1, but for gradients of kernels above 3x3, where
they are slow (5x5 on maps 32x4x4x576: 33 ms against 3 with AVX2, 5 against 1.5 with AVX-512).
"""

from __future__ import annotations

import tensorflow as tf


def depthwise(x: tf.Tensor, kernel: tf.Tensor, *, stride: int) -> tf.Tensor:
    """Depthwise convolution padded by k//2 on every side: (B, H, W, C), (k, k, C, 1) -> (B, H', W', C)."""

    @tf.custom_gradient
    def run(x, kernel):
        def gradient(dy):
            dkernel = _kernel_gradient(x, dy, size=kernel.shape[0], stride=stride)
            with tf.control_dependencies([dkernel]):  # see `blocks.in_order`
                return _input_gradient(dy, kernel, shape=x.shape, stride=stride), dkernel

        padding = {"padding": "SAME"} if stride == 1 else _explicit(kernel.shape[0])
        return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, strides=_strides(stride), **padding), gradient

    return run(x, kernel)


def _explicit(size: int) -> dict:
    pad = size // 2
    return {"padding": "EXPLICIT", "explicit_paddings": (0, 0, pad, pad, pad, pad, 0, 0)}


def _strides(stride: int) -> tuple[int, ...]:
    return (1, stride, stride, 1)


def _kernel_gradient(x: tf.Tensor, dy: tf.Tensor, *, size: int, stride: int) -> tf.Tensor:
    """(B, H, W, C), (B, H', W', C) -> (size, size, C, 1)."""
    if stride == 1 and size > 3 and not tf.config.list_physical_devices("GPU"):
        return _kernel_gradient_over_images(x, dy, size=size)
    shape = (size, size, x.shape[-1], 1)
    padding = {"padding": "SAME"} if stride == 1 else _explicit(size)
    return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        input=x, filter_sizes=shape, out_backprop=dy, strides=_strides(stride), **padding
    )


def _kernel_gradient_over_images(x: tf.Tensor, dy: tf.Tensor, *, size: int) -> tf.Tensor:
    """The same at stride 1, as a forward convolution of each image's channels by those of its output gradient.

    All images side by side, as channels of one, fill a CPU's vectors: 1.7 to 2.8 times as fast as TensorFlow's own for
    7x7 (22 -> 13 ms on maps 32x32x32x96, 3.0 -> 1.1 on 32x4x4x576, AVX-512), about even to 1.7 times for 5x5.
    """
    batch, height, width, channels = x.shape
    image, kernel = (tf.transpose(maps, (1, 2, 0, 3)) for maps in (x, dy))
    products = tf.raw_ops.DepthwiseConv2dNative(
        input=tf.reshape(image, (1, height, width, batch * channels)),
        filter=tf.reshape(kernel, (height, width, batch * channels, 1)),
        strides=_strides(1),
        **_explicit(size),
    )
    return tf.reshape(
        tf.reduce_sum(tf.reshape(products, (size, size, batch, channels)), axis=2), (size, size, channels, 1)
    )


def _input_gradient(dy: tf.Tensor, kernel: tf.Tensor, *, shape: tf.TensorShape, stride: int) -> tf.Tensor:
    """(B, H', W', C) -> (B, H, W, C)."""
    if stride == 1:
        return tf.nn.depthwise_conv2d_backprop_input(shape, kernel, dy, (1, 1, 1, 1), "SAME")
    pad = kernel.shape[0] // 2
    batch, height, width, channels = shape
    padded = (batch, height + 2 * pad, width + 2 * pad, channels)
    dx = tf.nn.depthwise_conv2d_backprop_input(padded, kernel, dy, (1, stride, stride, 1), "VALID")
    return dx[:, pad : pad + height, pad : pad + width]
