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
    kept, pending, inputs = [operator], list(operator.inputs), []
    while pending:
        index = pending.pop(0)
        source = graph.producer(index)
        if source is None and index >= 0 and not graph.is_constant(index):
            inputs.append(index)
        elif source is not None and _joins(graph, source):
            kept.append(source)
            pending += source.inputs
        elif source is not None:
            inputs.append(index)
    graph.subgraph.operators = [known for known in graph.operators if any(known is one for one in kept)]
    graph.subgraph.inputs = list(dict.fromkeys(inputs))
    graph.subgraph.outputs = list(operator.outputs)
    graph.model.signatureDefs = None
    graph.prune()
    return graph.to_bytes()


def _joins(graph: Graph, source: schema.OperatorT) -> bool:
    if graph.code(source) == Op.PAD:
        return True
    return graph.code(source) == Op.DEQUANTIZE and graph.is_constant(source.inputs[0])
