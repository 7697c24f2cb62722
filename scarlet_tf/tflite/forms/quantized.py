"""Questions about int8 operators that several forms ask."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Graph, Type


def is_int8(graph: Graph, operator: schema.OperatorT) -> bool:
    """Return whether the operator's input and output are int8, each with one scale."""
    return all(_has_one_scale(graph, index) for index in (operator.inputs[0], operator.outputs[0]))


def _has_one_scale(graph: Graph, index: int) -> bool:
    scale, _, _ = graph.quantization(index)
    return graph.is_type(index, Type.INT8) and scale is not None and scale.size == 1


def constants_known(graph: Graph, operator: schema.OperatorT) -> bool:
    """Return whether the real values of all constants are known."""
    constants = [index for index in operator.inputs[1:] if index >= 0]
    return all(
        graph.quantization(index)[0] is not None and graph.real_constant(index) is not None for index in constants
    )
