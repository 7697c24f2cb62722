"""One operator of a file as a file of its own."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Graph, Op


def cut_operator(content: bytes, position: int) -> bytes:
    """The operator at a position as a model: what it computes from becomes the input, its constants stay constants.

    A PAD in front of a convolution comes along, as do operators that load its constants: a runtime joins them.
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
    """The operators that `cut_operator` keeps for one, and the tensors that become the inputs, in their order."""
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
    """Whether a runtime computes the operator within those that read its result, or beforehand: PAD, constants."""
    if graph.code(operator) == Op.PAD:
        return True
    return graph.code(operator) == Op.DEQUANTIZE and graph.is_constant(operator.inputs[0])
