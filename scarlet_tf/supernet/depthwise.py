"""Depthwise convolution with PyTorch's padding, each of its passes by the quickest of TensorFlow's CPU kernels.

With TF_ENABLE_ONEDNN_OPTS=1 TensorFlow replaces its own kernels by oneDNN's, unless padding is given as EXPLICIT. In
the gradient of the kernel, and forward at stride 2, its own are quicker (kernel gradient of 5x5 on maps 32x4x4x576: 3
ms against 33, on 32x32x32x96: 14 against 31; of 3x3 about even). The form changes the kernel, not the result.
"""

from __future__ import annotations

import tensorflow as tf


def depthwise(x: tf.Tensor, kernel: tf.Tensor, *, stride: int) -> tf.Tensor:
    """Depthwise convolution padded by k//2 on every side: (B, H, W, C), (k, k, C, 1) -> (B, H', W', C)."""
    strides = (1, stride, stride, 1)
    pad = kernel.shape[0] // 2
    explicit = {"padding": "EXPLICIT", "explicit_paddings": (0, 0, pad, pad, pad, pad, 0, 0)}
    forward = {"padding": "SAME"} if stride == 1 else explicit

    @tf.custom_gradient
    def run(x, kernel):
        def gradient(dy):
            dkernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=dy, strides=strides, **explicit
            )
            with tf.control_dependencies([dkernel]):  # see `blocks.in_order`
                return _input_gradient(dy, kernel, shape=x.shape, stride=stride), dkernel

        return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, strides=strides, **forward), gradient

    return run(x, kernel)


def _input_gradient(dy: tf.Tensor, kernel: tf.Tensor, *, shape: tf.TensorShape, stride: int) -> tf.Tensor:
    """(B, H', W', C) -> (B, H, W, C)."""
    if stride == 1:
        return tf.nn.depthwise_conv2d_backprop_input(shape, kernel, dy, (1, 1, 1, 1), "SAME")
    pad = kernel.shape[0] // 2
    batch, height, width, channels = shape
    padded = (batch, height + 2 * pad, width + 2 * pad, channels)
    dx = tf.nn.depthwise_conv2d_backprop_input(padded, kernel, dy, (1, stride, stride, 1), "VALID")
    return dx[:, pad : pad + height, pad : pad + width]
