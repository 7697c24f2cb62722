"""Form of a depthwise convolution of a dynamic-range file, which has int8 weights and float activations."""

from __future__ import annotations

from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.parts import FIVE_PARTS, can_split, split
from scarlet_tf.tflite.graph import Graph, Op, Type


class FloatWeights:
    """Weights in float, since XNNPACK runs the operator only then: "float weights", and for 7x7 also in five parts."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        if not is_hybrid(graph, operator):
            return
        yield Variant(name="float weights", apply=_with_float_weights, rounds_anew=True)
        if can_split(graph, operator, FIVE_PARTS):
            yield Variant(name="float weights, five parts", apply=_in_parts, rounds_anew=True)


def is_hybrid(graph: Graph, operator: schema.OperatorT) -> bool:
    """Return whether the operator is a depthwise convolution of float activations by known int8 weights."""
    if graph.code(operator) != Op.DEPTHWISE_CONV_2D:
        return False
    image, kernel = operator.inputs[:2]
    return (
        isinstance(operator.builtinOptions, schema.DepthwiseConv2DOptionsT)
        and graph.is_type(image, Type.FLOAT32)
        and graph.is_type(kernel, Type.INT8)
        and graph.quantization(kernel)[0] is not None
        and graph.real_constant(kernel) is not None
    )


def _in_parts(graph: Graph, operator: schema.OperatorT) -> None:
    split(graph, _with_float_weights(graph, operator), parts=FIVE_PARTS)


def _with_float_weights(graph: Graph, operator: schema.OperatorT) -> schema.OperatorT:
    image, kernel, *bias = operator.inputs
    weights = graph.add_constant(graph.real_constant(kernel), graph.tensor_name(kernel) + "/real")
    options = operator.builtinOptions
    version = 1 if options.dilationHFactor == options.dilationWFactor == 1 else 2
    inputs = [image, weights, *bias]
    made = graph.new_operator(Op.DEPTHWISE_CONV_2D, inputs, operator.outputs, options=options, version=version)
    graph.replace(operator, [made])
    return made
