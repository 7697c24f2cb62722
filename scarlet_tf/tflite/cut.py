"""Extraction of one operator of a .tflite file as a separate model."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Graph, Op


def cut_operator(content: bytes, position: int) -> bytes:
    """Return the operator at a position as a separate model; its operands become inputs, constants stay constants.

    A PAD in front of a convolution and operators that load its constants are included, because a runtime fuses them.
    """
    graph = Graph(content)
    operator = graph.operators[position]
    kept, inputs = with_joined(graph, operator)
    graph.subgraph.operators = [known for known in graph.operators if any(known is one for one in kept)]
    graph.subgraph.inputs = inputs
    graph.subgraph.outputs = list(operator.outputs)
    graph.model.signatureDefs = None
    graph.prune()
    return graph.to_bytes()


def with_joined(graph: Graph, operator: schema.OperatorT) -> tuple[list[schema.OperatorT], list[int]]:
    """Return the operators that `cut_operator` keeps for one operator, and the tensors that become its inputs."""
    kept, pending, inputs = [operator], list(operator.inputs), []
    while pending:
        index = pending.pop(0)
        source = graph.producer(index)
        if source is None and index >= 0 and not graph.is_constant(index):
            inputs.append(index)
        elif source is not None and joins_readers(graph, source):
            kept.append(source)
            pending += source.inputs
        elif source is not None:
            inputs.append(index)
    return kept, list(dict.fromkeys(inputs))


def joins_readers(graph: Graph, operator: schema.OperatorT) -> bool:
    """Return whether a runtime fuses the operator into its readers (PAD) or runs it once (loading a constant)."""
    if graph.code(operator) == Op.PAD:
        return True
    return graph.code(operator) == Op.DEQUANTIZE and graph.is_constant(operator.inputs[0])
