"""Multiply-adds of .tflite files, from the shapes that they state."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.runtime import open_interpreter

Op = schema.BuiltinOperator


def count_madds(path: str | os.PathLike) -> int:
    """Multiply-adds of one inference: every convolution, plain or depthwise, and every fully connected layer.

    Nothing for biases, activations, pools and additions, as `scarlet_tf.arch.count`. An operator of another kind that
    multiplies too, such as BATCH_MATMUL or TRANSPOSE_CONV, counts as none. A batch of open size counts as one.

    Raises:
        FileNotFoundError: for a missing file; TFLiteFileError for a damaged one.
    """
    open_interpreter(path)  # verifies the file; the schema's accessors trust it
    return madds_of_content(Path(path).read_bytes())


def madds_of_content(content: bytes) -> int:
    """As `count_madds`, of the content of a file that an interpreter has accepted."""
    model = schema.Model.GetRootAs(content)
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return sum(_madds(model, graph, graph.Operators(i)) for graph in graphs for i in range(graph.OperatorsLength()))


def operator_madds(code: int, *, weights: Sequence[int], output: Sequence[int]) -> int:
    """Multiply-adds of one operator.

    Args:
        code: the built-in operator's number.
        weights: shape of the second input: (out, height, width, in / groups), (1, height, width, out) where depthwise,
            (out, in) where fully connected.
        output: shape.
    """
    taps = {Op.CONV_2D: weights[1:], Op.DEPTHWISE_CONV_2D: weights[1:3], Op.FULLY_CONNECTED: weights[1:]}
    return math.prod(output) * math.prod(taps[code]) if code in taps else 0


def _madds(model: schema.Model, graph: schema.SubGraph, operator: schema.Operator) -> int:
    if operator.InputsLength() < 2 or not operator.OutputsLength():
        return 0
    code = model.OperatorCodes(operator.OpcodeIndex())
    return operator_madds(
        max(code.BuiltinCode(), code.DeprecatedBuiltinCode()),
        weights=_shape(graph, operator.Inputs(1)),
        output=_shape(graph, operator.Outputs(0)),
    )


def _shape(graph: schema.SubGraph, index: int) -> list[int]:
    """Without sizes where the operand is left out."""
    tensor = graph.Tensors(index) if index >= 0 else None
    return [tensor.Shape(i) for i in range(tensor.ShapeLength())] if tensor else []
