"""Cutting a .tflite file into the computations of its outputs, and joining files into a chain."""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Graph, Type


def cut_outputs(content: bytes) -> dict[str, bytes]:
    """Return the computation of every output as a file of its own, without a signature, by the output's name.

    Args:
        content: of a file fresh from the converter, with one input and one signature.
    """
    whole = Graph(content)
    (signature,) = whole.model.signatureDefs
    return {entry.name.decode(): _cut(whole.copy(), int(entry.tensorIndex)) for entry in signature.outputs}


def _cut(graph: Graph, output: int) -> bytes:
    graph.subgraph.outputs = [output]
    graph.model.signatureDefs = None
    graph.prune()
    return graph.to_bytes()


def join(contents: Sequence[bytes]) -> bytes:
    """Return a file that feeds the output of each file to the next one.

    Args:
        contents: one or more files from `cut_outputs`, each with one input, of the shape of the output before it.

    Raises:
        ValueError: for files of other shapes.
    """
    joined = Graph(contents[0])
    for content in contents[1:]:
        _append(joined, Graph(content))
    joined.prune()
    return joined.to_bytes()


def make_identity() -> bytes:
    """Return a file without operators, which returns its input: one float32 number."""
    tensor = schema.TensorT(shape=np.ones(1, np.int32), type=Type.FLOAT32, buffer=0, name=b"x")
    tensor.hasRank = True
    subgraph = schema.SubGraphT(tensors=[tensor], inputs=[0], outputs=[0], operators=[], name=b"main")
    model = schema.ModelT(version=3, operatorCodes=[], subgraphs=[subgraph], buffers=[schema.BufferT()])
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _append(joined: Graph, following: Graph) -> None:
    """Add the operators, tensors, buffers and operator codes of a file to another, and connect the two."""
    (source,), (target,) = joined.subgraph.outputs, following.subgraph.inputs
    if joined.shape(source) != following.shape(target):
        raise ValueError(
            f"a file that takes {following.shape(target)} cannot follow one that returns {joined.shape(source)}"
        )
    first_tensor, first_buffer = len(joined.subgraph.tensors), len(joined.model.buffers)
    first_code = len(joined.model.operatorCodes)
    for tensor in following.subgraph.tensors:
        tensor.buffer += first_buffer if tensor.buffer else 0  # buffer 0 is the empty one
    new = {index: index + first_tensor for index in range(len(following.subgraph.tensors))} | {-1: -1, target: source}
    for operator in following.operators:
        operator.opcodeIndex += first_code
        for name in ("inputs", "outputs", "intermediates"):
            indices = getattr(operator, name)
            setattr(operator, name, [new[int(index)] for index in (() if indices is None else indices)])
    joined.subgraph.tensors += following.subgraph.tensors
    joined.subgraph.operators += following.operators
    joined.subgraph.outputs = [new[index] for index in following.subgraph.outputs]
    joined.model.buffers += following.model.buffers
    joined.model.operatorCodes += following.model.operatorCodes
