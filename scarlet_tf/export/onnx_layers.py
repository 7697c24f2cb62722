"""The nodes of an ONNX graph that a layer becomes, by the layer's kind."""

from __future__ import annotations

from typing import Protocol

import keras
import numpy as np

NHWC = (0, 2, 3, 1)  # permutation of NCHW


class OnnxExportError(ValueError):
    """Error raised for a model that cannot be written as ONNX; the message names the layer."""


class Graph(Protocol):
    """What layers are added to: `scarlet_tf.export.onnx_graph`'s graph."""

    def node(self, kind: str, inputs: list[str], *, name: str, **attributes) -> str:
        """Add a node and return the name of its output."""

    def constant(self, name: str, values) -> str:
        """Add a constant and return its name."""

    def clip(self, source: str, limit: float, *, name: str) -> str:
        """Add a node that limits values to 0..limit."""


def _conv(graph: Graph, layer, inputs: list[str], shape) -> str:
    kernel = np.transpose(to_array(layer.kernel), (3, 2, 0, 1))  # (h, w, in / groups, out)
    return _convolution(graph, layer, inputs, shape, kernel=kernel, groups=layer.groups)


def _depthwise_conv(graph: Graph, layer, inputs: list[str], shape) -> str:
    height, width, channels, multiplier = layer.kernel.shape
    kernel = np.reshape(to_array(layer.kernel), (height, width, channels * multiplier))
    kernel = np.transpose(kernel, (2, 0, 1))[:, np.newaxis]
    return _convolution(graph, layer, inputs, shape, kernel=kernel, groups=channels)


def _convolution(graph: Graph, layer, inputs: list[str], shape, *, kernel: np.ndarray, groups: int) -> str:
    constants = [graph.constant(f"{layer.name}_kernel", kernel)]
    if layer.use_bias:
        constants.append(graph.constant(f"{layer.name}_bias", layer.bias))
    return graph.node(
        "Conv",
        [*inputs, *constants],
        name=layer.name,
        kernel_shape=kernel.shape[2:],
        strides=layer.strides,
        dilations=layer.dilation_rate,
        group=groups,
        pads=_pads(layer, shape, size=kernel.shape[2:], dilation=layer.dilation_rate),
    )


def _pads(layer, shape, *, size, dilation=(1, 1)) -> list[int]:
    """Return [top, left, bottom, right] of the layer's padding; an odd "same" padding has the extra one at the end."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    pads = []
    for length, kernel, stride, step in zip(shape[1:3], size, layer.strides, dilation, strict=True):
        total = max((-(-length // stride) - 1) * stride + (kernel - 1) * step + 1 - length, 0)
        pads.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = pads
    return [top, left, bottom, right]


def _batch_norm(graph: Graph, layer, inputs: list[str], shape) -> str:
    if layer.axis not in (-1, len(shape) - 1):
        raise OnnxExportError(f"layer {layer.name!r} normalises axis {layer.axis}, expected the last")
    ones = np.ones(layer.moving_mean.shape)
    values = {
        "gamma": layer.gamma if layer.scale else ones,
        "beta": layer.beta if layer.center else 0 * ones,
        "mean": layer.moving_mean,
        "variance": layer.moving_variance,
    }
    constants = [graph.constant(f"{layer.name}_{part}", array) for part, array in values.items()]
    return graph.node("BatchNormalization", [*inputs, *constants], name=layer.name, epsilon=layer.epsilon)


def _zero_padding(graph: Graph, layer, inputs: list[str], shape) -> str:
    (top, bottom), (left, right) = layer.padding
    amounts = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return graph.node("Pad", [*inputs, graph.constant(f"{layer.name}_amounts", amounts)], name=layer.name)


def _relu(graph: Graph, layer, inputs: list[str], shape) -> str:
    if layer.negative_slope or layer.threshold:
        raise OnnxExportError(
            f"layer {layer.name!r} is a ReLU with a slope or threshold, which cannot be exported to ONNX"
        )
    if layer.max_value is None:
        return graph.node("Relu", inputs, name=layer.name)
    return graph.clip(*inputs, layer.max_value, name=layer.name)


def _pool(kind: str):
    def add(graph: Graph, layer, inputs: list[str], shape) -> str:
        pads = _pads(layer, shape, size=layer.pool_size)
        return graph.node(
            kind, inputs, name=layer.name, kernel_shape=layer.pool_size, strides=layer.strides, pads=pads
        )  # AveragePool leaves padding out of the average by default, as Keras does

    return add


def _global_pool(kind: str):
    def add(graph: Graph, layer, inputs: list[str], shape) -> str:
        pooled = graph.node(kind, inputs, name=layer.name)
        return pooled if layer.keepdims else graph.node("Flatten", [pooled], name=f"{layer.name}_flat")

    return add


def _flatten(graph: Graph, layer, inputs: list[str], shape) -> str:
    if len(shape) == 4:
        inputs = [graph.node("Transpose", inputs, name=f"{layer.name}_nhwc", perm=NHWC)]
    return graph.node("Flatten", inputs, name=layer.name)


def _reshape(graph: Graph, layer, inputs: list[str], shape) -> str:
    """Add the reshape of a vector, or of a map of one pixel, to a map of one pixel."""
    if (
        tuple(layer.target_shape) != (1, 1, shape[-1])
        or len(shape) not in (2, 4)
        or any(size != 1 for size in shape[1:-1])
    ):
        raise OnnxExportError(
            f"layer {layer.name!r} reshapes {shape[1:]} to {layer.target_shape}, expected a map of one pixel"
        )
    if len(shape) == 4:
        return inputs[0]
    axes = graph.constant(f"{layer.name}_axes", np.array([2, 3], np.int64))
    return graph.node("Unsqueeze", [*inputs, axes], name=layer.name)


def _dense(graph: Graph, layer, inputs: list[str], shape) -> str:
    if len(shape) != 2:
        raise OnnxExportError(f"layer {layer.name!r} is a Dense with input shape {shape}, expected (batch, features)")
    constants = [graph.constant(f"{layer.name}_kernel", layer.kernel)]
    if layer.use_bias:
        constants.append(graph.constant(f"{layer.name}_bias", layer.bias))
    return graph.node("Gemm", [*inputs, *constants], name=layer.name)


def _rescaling(graph: Graph, layer, inputs: list[str], shape) -> str:
    result = inputs[0]
    for part, kind in (("scale", "Mul"), ("offset", "Add")):
        values = np.asarray(getattr(layer, part), np.float64)
        if values.ndim:
            values = values.reshape(1, -1, 1, 1)
        name = f"{layer.name}_{part}"
        result = graph.node(kind, [result, graph.constant(f"{name}_values", values)], name=name)
    return result


def _elementwise(kind: str):
    def add(graph: Graph, layer, inputs: list[str], shape) -> str:
        result = inputs[0]
        for other in inputs[1:]:
            result = graph.node(kind, [result, other], name=layer.name)
        return result

    return add


def _softmax(graph: Graph, layer, inputs: list[str], shape) -> str:
    if layer.axis != -1:
        raise OnnxExportError(f"layer {layer.name!r} is a Softmax over axis {layer.axis}, expected the last")
    return graph.node("Softmax", inputs, name=layer.name, axis=1)


def _same(graph: Graph, layer, inputs: list[str], shape) -> str:
    return inputs[0]


LAYERS = {
    "Activation": _same,  # `_add_layer` adds the activation of any layer
    "Add": _elementwise("Add"),
    "AveragePooling2D": _pool("AveragePool"),
    "BatchNormalization": _batch_norm,
    "Conv2D": _conv,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise_conv,
    "Dropout": _same,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_pool("GlobalAveragePool"),
    "GlobalMaxPooling2D": _global_pool("GlobalMaxPool"),
    "Identity": _same,
    "InputLayer": _same,
    "MaxPooling2D": _pool("MaxPool"),
    "Multiply": _elementwise("Mul"),
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "ZeroPadding2D": _zero_padding,
}


def to_array(values) -> np.ndarray:
    """Return a variable, array or number as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(values))
