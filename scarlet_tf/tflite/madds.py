"""Multiply-adds of .tflite files, counted from the shapes that they state."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.runtime import open_interpreter

Op = schema.BuiltinOperator


def count_madds(path: str | os.PathLike) -> int:
    """Return the multiply-adds of one inference, in convolutions, depthwise ones included, and fully connected layers.

    Biases, activations, pools and additions count as 0, as in `scarlet_tf.arch.count`. So do other operators that
    multiply, such as BATCH_MATMUL or TRANSPOSE_CONV. An open batch size counts as 1.

    Raises:
        FileNotFoundError: for a missing file; TFLiteFileError for a damaged one.

    Example:
        >>> print(f"{count_madds('a.tflite') / 1e6:.0f} M")
    """
    open_interpreter(path)  # validates the file, which the schema's accessors do not
    return madds_of_content(Path(path).read_bytes())


def madds_of_content(content: bytes) -> int:
    """Return the same as `count_madds` for the content of a file that an interpreter has accepted."""
    model = schema.Model.GetRootAs(content)
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return sum(_madds(model, graph, graph.Operators(i)) for graph in graphs for i in range(graph.OperatorsLength()))


def operator_madds(code: int, *, weights: Sequence[int], output: Sequence[int]) -> int:
    """Return the multiply-adds of one operator.

    Args:
        code: of the built-in operator.
        weights: shape of the second input: (out, height, width, in / groups), or (1, height, width, out) if depthwise,
            or (out, in) if fully connected.
        output: shape of the output.
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
    """Return a tensor's shape; empty for an omitted operand."""
    tensor = graph.Tensors(index) if index >= 0 else None
    return [tensor.Shape(i) for i in range(tensor.ShapeLength())] if tensor else []
