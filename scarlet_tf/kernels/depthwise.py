"""Depthwise convolution with PyTorch's padding; each pass uses the fastest of TensorFlow's kernels.

With TF_ENABLE_ONEDNN_OPTS=1, oneDNN's kernels replace TensorFlow's CPU kernels, unless the padding is EXPLICIT. So the
form of the padding selects the kernel without changing the result. oneDNN's kernels are used at stride 1, except for
kernel gradients above 3x3, where they are slow (5x5 on maps of 32x4x4x576: 33 ms against 3 ms with AVX2, 5 ms against
1.5 ms with AVX-512).
"""

from __future__ import annotations

import tensorflow as tf

from scarlet_tf.kernels.device import device_kind


def depthwise(x: tf.Tensor, kernel: tf.Tensor, *, stride: int) -> tf.Tensor:
    """Return the depthwise convolution of `x`, padded by k//2 on every side.

    Args:
        x: (B, H, W, C).
        kernel: (k, k, C, 1).
        stride: the same in both directions.

    Returns:
        (B, ceil(H/stride), ceil(W/stride), C).
    """

    @tf.custom_gradient
    def run(x, kernel):
        def gradient(dy):
            dkernel = _kernel_gradient(x, dy, size=kernel.shape[0], stride=stride)
            with tf.control_dependencies([dkernel]):  # one after the other: see `in_order` in supernet/blocks.py
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
    """Return the gradient of the kernel: (B, H, W, C), (B, H', W', C) -> (size, size, C, 1)."""
    if stride == 1 and size > 3 and device_kind() == "cpu":
        return _kernel_gradient_over_images(x, dy, size=size)
    shape = (size, size, x.shape[-1], 1)
    padding = {"padding": "SAME"} if stride == 1 else _explicit(size)
    return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        input=x, filter_sizes=shape, out_backprop=dy, strides=_strides(stride), **padding
    )


def _kernel_gradient_over_images(x: tf.Tensor, dy: tf.Tensor, *, size: int) -> tf.Tensor:
    """Return the kernel gradient at stride 1 by a forward convolution of each image with its output gradient.

    All images become channels of a single image, which fills a CPU's vectors. For 7x7 kernels this is 1.7 to 2.8 times
    as fast as TensorFlow's kernel (22 -> 13 ms on maps of 32x32x32x96, 3.0 -> 1.1 ms on 32x4x4x576, AVX-512), and for
    5x5 kernels about 1 to 1.7 times.
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
    """Return the gradient of the input: (B, H', W', C) -> (B, H, W, C)."""
    if stride == 1:
        return tf.nn.depthwise_conv2d_backprop_input(shape, kernel, dy, (1, 1, 1, 1), "SAME")
    pad = kernel.shape[0] // 2
    batch, height, width, channels = shape
    padded = (batch, height + 2 * pad, width + 2 * pad, channels)
    dx = tf.nn.depthwise_conv2d_backprop_input(padded, kernel, dy, (1, stride, stride, 1), "VALID")
    return dx[:, pad : pad + height, pad : pad + width]
