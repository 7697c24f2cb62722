"""Conversion of a Keras model to an ONNX graph for inference, layer by layer.

Keras's own `model.export(format="onnx")` uses tf2onnx: SCARLET-A becomes 583 nodes at opset 15, of which 170 are
transpositions, and each h-swish takes four. Converted layer by layer it has 192 nodes, at any opset from 14 on.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import onnx
from onnx import helper, numpy_helper

from scarlet_tf.export.onnx_layers import LAYERS, NHWC, OnnxExportError, to_array

_NCHW = (0, 3, 1, 2)  # permutation of NHWC

_OPERATIONS = {"Add": "Add", "Multiply": "Mul"}

_ACTIVATIONS = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1.0 / 6.0, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "softmax": ("Softmax", {"axis": 1}),  # the channels of (B, C) and (B, C, H, W)
}


def onnx_graph(
    model: keras.Model, *, output: str, layout: str = "nhwc", batch_size: int | None = None
) -> onnx.GraphProto:
    """Return the ONNX graph of a functional or sequential model with one image input and one output.

    Zero padding and batch normalisation are folded into adjacent convolutions, in float64.

    Args:
        model: the Keras model.
        output: name of the output; the input is named `image`.
        layout: of the image, and of an output that is a feature map: "nhwc" as in Keras, or "nchw".
        batch_size: a fixed batch size; None for any, as the dimension `batch`.

    Raises:
        OnnxExportError: for a layer that has no ONNX form here, or a model without a fixed image size.
    """
    _check_graph(model)
    if len(model.input_shape) != 4 or None in model.input_shape[1:]:
        raise OnnxExportError(f"expected a fixed image size, but {model.name!r} has input shape {model.input_shape}")
    graph = _Graph(output)
    image = "image" if layout == "nchw" else graph.node("Transpose", ["image"], name="image_nchw", perm=_NCHW)
    result = graph.add_model(model, _Map(image, (1, *model.input_shape[1:]))).name
    if len(model.output_shape) == 4 and layout == "nhwc":
        result = graph.node("Transpose", [result], name="output_nhwc", perm=NHWC)
    graph.finish(result)
    takes, gives = ([batch_size or "batch", *_sizes(s, layout)] for s in (model.input_shape, model.output_shape))
    return helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, gives)],
        graph.used_constants(),
    )


def _sizes(shape: tuple, layout: str) -> list[int]:
    """Return the sizes without the batch; those of a feature map are in the layout's order."""
    order = _NCHW if len(shape) == 4 and layout == "nchw" else range(len(shape))
    return [shape[axis] for axis in order[1:]]


class _Map(NamedTuple):
    """Name and shape of a result: (1, H, W, C) as in Keras, with fixed sizes even where the layer leaves them open."""

    name: str
    shape: tuple[int, ...]


def _as_maps(value, *, axes: int) -> np.ndarray:
    """Return a constant of (..., H, W, C) as it is aligned with NCHW maps; one beside vectors as it is."""
    values = to_array(value)
    if axes != 4 or not values.ndim:
        return values
    return np.transpose(values.reshape((1,) * (4 - values.ndim) + values.shape), _NCHW)


class _Graph:
    """Nodes in execution order, each with one result of the same name, and float64 constants. Maps are NCHW."""

    def __init__(self, output: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self._output = output
        self._names = {"image", output}

    def node(self, kind: str, inputs: list[str], *, name: str, **attributes) -> str:
        """Add a node and return the name of its result."""
        name = self._new_name(name)
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values) -> str:
        name = self._new_name(name)
        values = to_array(values)
        self.constants[name] = values if values.dtype == np.int64 else values.astype(np.float64)
        return name

    def _new_name(self, name: str) -> str:
        """Return the name, with a number appended if it is taken: a layer may be applied more than once."""
        new, number = name, 1
        while new in self._names:
            number += 1
            new = f"{name}_{number}"
        self._names.add(new)
        return new

    def add_model(self, model: keras.Model, image: _Map) -> _Map:
        """Add the layers of a model with one input and one output, and return its result for the image."""
        _check_graph(model)
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                image = self._add_layer(layer, [image])
            return image
        results = {_call(model.inputs[0]): image}
        waiting = [model.outputs[0]]
        while waiting:  # depth-first, not recursive: deep models would reach Python's limit
            call = _call(waiting[-1])
            sources = () if call in results else call[0]._inbound_nodes[call[1]].input_tensors
            missing = [tensor for tensor in sources if _call(tensor) not in results]
            if not missing:
                waiting.pop()
                inputs = [results[_call(tensor)] for tensor in sources]
                if call in results:
                    continue
                if isinstance(call[0], keras.layers.Layer):
                    results[call] = self._add_layer(call[0], inputs)
                else:
                    results[call] = self._add_operation(call[0]._inbound_nodes[call[1]], inputs)
            waiting += missing
        return results[_call(model.outputs[0])]

    def _add_layer(self, layer: keras.layers.Layer, inputs: list[_Map]) -> _Map:
        if isinstance(layer, keras.Model):
            return self.add_model(layer, *inputs)
        kind = type(layer).__name__
        if kind not in LAYERS:
            raise OnnxExportError(f"layer {layer.name!r} is a {kind}, which cannot be exported to ONNX")
        if getattr(layer, "data_format", None) == "channels_first":
            raise OnnxExportError(f"layer {layer.name!r} is channels_first, expected channels_last")
        shapes = [source.shape for source in inputs]
        names = [self._beside(source, inputs, layer.name) for source in inputs]
        result = LAYERS[kind](self, layer, names, shapes[0])
        if hasattr(layer, "activation"):
            result = self.activation(result, layer)
        return _Map(result, tuple(layer.compute_output_shape(shapes if len(shapes) > 1 else shapes[0])))

    def _beside(self, source: _Map, others: list[_Map], name: str) -> str:
        """Return a vector beside feature maps as (B, C, 1, 1), as Keras's layers do; others as they are."""
        most = max(len(other.shape) for other in others)
        if len(source.shape) == most:
            return source.name
        if (len(source.shape), most) != (2, 4):
            raise OnnxExportError(
                f"layer {name!r} has inputs of {len(source.shape)} and {most} axes, which cannot be exported to ONNX"
            )
        axes = self.constant(f"{name}_axes", np.int64([2, 3]))
        return self.node("Unsqueeze", [source.name, axes], name=f"{name}_as_map")

    def _add_operation(self, node, inputs: list[_Map]) -> _Map:
        """Add a sum or product that a model has as `x + 3.0`, of results and numbers."""
        operation, tensors = node.operation, iter(inputs)
        kind = type(operation).__name__
        if kind not in _OPERATIONS:
            raise OnnxExportError(f"operation {operation.name!r} is a {kind}, which cannot be exported to ONNX")
        if len({len(source.shape) for source in inputs}) > 1:
            raise OnnxExportError(
                f"operation {operation.name!r} has operands of shapes {' and '.join(str(i.shape) for i in inputs)}, "
                "which cannot be exported to ONNX: expected as many axes"
            )
        operands = [
            next(tensors).name
            if isinstance(value, keras.KerasTensor)
            else self.constant(f"{operation.name}_number", _as_maps(value, axes=len(inputs[0].shape)))
            for value in node.arguments.args
        ]
        result = self.node(_OPERATIONS[kind], operands, name=operation.name)
        return _Map(result, (1, *node.output_tensors[0].shape[1:]))

    def activation(self, source: str, layer: keras.layers.Layer) -> str:
        kind = getattr(layer.activation, "__name__", type(layer.activation).__name__)
        if kind == "linear":
            return source
        if kind == "relu6":
            return self.clip(source, 6.0, name=f"{layer.name}_relu6")
        if kind == "silu":  # an operator only since opset 24
            gate = self.node("Sigmoid", [source], name=f"{layer.name}_sigmoid")
            return self.node("Mul", [source, gate], name=f"{layer.name}_silu")
        if kind not in _ACTIVATIONS:
            raise OnnxExportError(f"layer {layer.name!r} has the activation {kind}, which cannot be exported to ONNX")
        operator, attributes = _ACTIVATIONS[kind]
        return self.node(operator, [source], name=f"{layer.name}_{kind}", **attributes)

    def clip(self, source: str, limit: float, *, name: str) -> str:
        ends = [self.constant(f"{name}_{end}", value) for end, value in (("min", 0.0), ("max", limit))]
        return self.node("Clip", [source, *ends], name=name)

    def finish(self, result: str) -> None:
        """Make a result the output, and fold padding and batch normalisation into convolutions.

        A Pad is folded into the convolution after it, a BatchNormalization into the one before it, if nothing else
        reads the tensor between the two.
        """
        self.nodes.append(helper.make_node("Identity", [result], [self._output], name=self._output))
        for fold in (_fold_pad, _fold_batch_norm, _fold_identity):
            makers = {node.output[0]: node for node in self.nodes}
            for node in list(self.nodes):
                before = makers.get(node.input[0])
                if before is not None and self._readers(before.output[0]) == 1 and fold(self, before, node):
                    makers = {node.output[0]: node for node in self.nodes}

    def _readers(self, name: str) -> int:
        return sum(source == name for node in self.nodes for source in node.input)

    def used_constants(self) -> list[onnx.TensorProto]:
        used = dict.fromkeys(source for node in self.nodes for source in node.input)
        arrays = {name: self.constants[name] for name in used if name in self.constants}
        return [
            numpy_helper.from_array(array if array.dtype == np.int64 else array.astype(np.float32), name)
            for name, array in arrays.items()
        ]


def _check_graph(model) -> None:
    if not isinstance(model, keras.Model):
        raise OnnxExportError(f"only Keras models can be exported to ONNX, but {model.name!r} is a SavedModel")
    if not getattr(model, "outputs", None):
        raise OnnxExportError(f"{model.name!r} is a subclassed model, expected a functional or sequential one")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        ends = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise OnnxExportError(f"expected a model with one input and one output, but {model.name!r} has {ends}")


def _call(tensor) -> tuple[keras.layers.Layer, int]:
    """Return the layer that produces a tensor of a functional model, and the index of the call that does."""
    return tuple(tensor._keras_history[:2])


def _attribute(node: onnx.NodeProto, name: str):
    return next(helper.get_attribute_value(a) for a in node.attribute if a.name == name)


def _fold_pad(graph: _Graph, pad: onnx.NodeProto, conv: onnx.NodeProto) -> bool:
    if (pad.op_type, conv.op_type) != ("Pad", "Conv"):
        return False
    amounts = graph.constants[pad.input[1]].tolist()
    more = [*amounts[2:4], *amounts[6:8]]
    (pads,) = (a for a in conv.attribute if a.name == "pads")
    pads.ints[:] = [a + b for a, b in zip(pads.ints, more, strict=True)]
    conv.input[0] = pad.input[0]
    graph.nodes.remove(pad)
    return True


def _fold_batch_norm(graph: _Graph, conv: onnx.NodeProto, norm: onnx.NodeProto) -> bool:
    """Fold conv -> gamma * (x - mean) / sqrt(variance + epsilon) + beta into one convolution with a bias."""
    if (conv.op_type, norm.op_type) != ("Conv", "BatchNormalization"):
        return False
    gamma, beta, mean, variance = (graph.constants[name] for name in norm.input[1:])
    scale = gamma / np.sqrt(variance + _attribute(norm, "epsilon"))
    kernel = graph.constants[conv.input[1]]
    bias = graph.constants[conv.input[2]] if len(conv.input) > 2 else 0.0
    constants = [
        graph.constant(f"{conv.name}_folded_kernel", kernel * scale[:, np.newaxis, np.newaxis, np.newaxis]),
        graph.constant(f"{conv.name}_folded_bias", beta + (bias - mean) * scale),
    ]
    conv.input[1:] = constants
    conv.output[0] = norm.output[0]
    graph.nodes.remove(norm)
    return True


def _fold_identity(graph: _Graph, before: onnx.NodeProto, identity: onnx.NodeProto) -> bool:
    if identity.op_type != "Identity":
        return False
    before.output[0] = identity.output[0]
    graph.nodes.remove(identity)
    return True
