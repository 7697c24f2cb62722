"""Pass for depthwise convolutions of dynamic-range files, which have int8 weights and float activations."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Graph, Op, Type
from scarlet_tf.tflite.passes import PassReport


def float_depthwise_weights(graph: Graph) -> PassReport:
    """Store the int8 weights of float depthwise convolutions in float: XNNPACK runs the operator only then."""
    found = [operator for operator in graph.of_kind(Op.DEPTHWISE_CONV_2D) if _is_hybrid(graph, operator)]
    for operator in found:
        image, kernel, *bias = operator.inputs
        weights = graph.add_constant(graph.real_constant(kernel), graph.tensor_name(kernel) + "/real")
        version = 1 if operator.builtinOptions.dilationHFactor == operator.builtinOptions.dilationWFactor == 1 else 2
        real = graph.new_operator(
            Op.DEPTHWISE_CONV_2D,
            [image, weights, *bias],
            operator.outputs,
            options=operator.builtinOptions,
            version=version,
        )
        graph.replace(operator, [real])
    graph.prune()
    note = "int8 depthwise weights of float operators in float" if found else "no int8 depthwise weights"
    return PassReport(name="float_depthwise_weights", changes=len(found), note=note, rounds_anew=True)


def _is_hybrid(graph: Graph, operator: schema.OperatorT) -> bool:
    image, kernel = operator.inputs[:2]
    return (
        isinstance(operator.builtinOptions, schema.DepthwiseConv2DOptionsT)
        and graph.is_type(image, Type.FLOAT32)
        and graph.is_type(kernel, Type.INT8)
        and graph.quantization(kernel)[0] is not None
        and graph.real_constant(kernel) is not None
    )
