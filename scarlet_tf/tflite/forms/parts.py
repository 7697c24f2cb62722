"""Form of a 7x7 depthwise convolution in float: a sum of smaller, dilated ones.

XNNPACK has depthwise kernels for up to 25 taps; 49 take a path that is several times slower. The taps of a 7x7 window
are split into parts with equally spaced rows and equally spaced columns. Each part is then a dilated depthwise
convolution, whose cost depends on its taps alone, and the parts' results are added. The sum is exact, except for the
order of additions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.grouped import add_real
from scarlet_tf.tflite.forms.window import Window, read_window
from scarlet_tf.tflite.graph import Activation, Graph, Op, Type

KERNEL = 7


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows and columns of the 7x7 window that one part covers: equally spaced, symmetric around the centre."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def dilation(self) -> tuple[int, int]:
        return _spacing(self.rows), _spacing(self.columns)


def _spacing(positions: tuple[int, ...]) -> int:
    return positions[1] - positions[0] if len(positions) > 1 else 1


# A 5x5 core, and the ring around it split into 9-, 9-, 9- and 4-tap kernels: the fewest taps for XNNPACK to compute.
FIVE_PARTS = (
    Part((1, 2, 3, 4, 5), (1, 2, 3, 4, 5)),
    Part((0, 6), (0, 2, 4, 6)),
    Part((0, 6), (1, 3, 5)),
    Part((1, 3, 5), (0, 6)),
    Part((2, 4), (0, 6)),
)
# Two 25-tap kernels and a 9-tap one: three taps more, and two sums less, whose results int8 rounds.
THREE_PARTS = (
    Part(tuple(range(KERNEL)), (1, 3, 5)),
    Part((1, 2, 3, 4, 5), (0, 2, 4, 6)),
    Part((0, 6), (0, 2, 4, 6)),
)


class Parts:
    """Sum of dilated convolutions: "five parts" and "three parts"."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        if not is_float_7x7(graph, operator):
            return
        for name, parts in (("five parts", FIVE_PARTS), ("three parts", THREE_PARTS)):
            if can_split(graph, operator, parts):
                yield Variant(name=name, apply=functools.partial(split, parts=parts))


def is_float_7x7(graph: Graph, operator: schema.OperatorT) -> bool:
    """Return whether the operator is a 7x7 depthwise convolution in float32 whose kernel and sizes are known."""
    return (
        graph.code(operator) == Op.DEPTHWISE_CONV_2D
        and graph.is_type(operator.inputs[0], Type.FLOAT32)
        and graph.is_type(operator.inputs[1], Type.FLOAT32)
        and _is_7x7(graph, operator)
        and read_window(graph, operator) is not None
        and graph.real_constant(operator.inputs[1]) is not None
    )


def _is_7x7(graph: Graph, operator: schema.OperatorT) -> bool:
    return graph.is_map(operator.inputs[1]) and graph.shape(operator.inputs[1])[1:3] == (KERNEL, KERNEL)


def can_split(graph: Graph, operator: schema.OperatorT, parts: tuple[Part, ...]) -> bool:
    """Return whether no part of a 7x7 depthwise convolution would have to crop its input."""
    window = read_window(graph, operator)
    if window is None or not _is_7x7(graph, operator):
        return False
    return all(_part_padding(window, part) is not None for part in parts)


def split(graph: Graph, operator: schema.OperatorT, *, parts: tuple[Part, ...]) -> None:
    """Replace a float 7x7 depthwise convolution that `can_split`; a PAD in front merges into the parts' own."""
    window = read_window(graph, operator)
    output = operator.outputs[0]
    name, shape = graph.tensor_name(output), graph.shape(output)
    zeros = graph.add_constant(np.zeros(shape[3], np.float32), f"{name}/no_bias")
    bias = operator.inputs[2] if len(operator.inputs) > 2 and operator.inputs[2] >= 0 else zeros
    activation = operator.builtinOptions.fusedActivationFunction
    made: list[schema.OperatorT] = []
    total = None
    for number, part in enumerate(parts):
        result = graph.add_tensor(Type.FLOAT32, shape, f"{name}/part{number}")
        made += _part_operators(graph, operator, window, part, bias=zeros if number else bias, result=result)
        if total is None:
            total = result
            continue
        last = number == len(parts) - 1
        joined = output if last else graph.add_tensor(Type.FLOAT32, shape, f"{name}/sum{number}")
        options = schema.AddOptionsT(fusedActivationFunction=activation if last else Activation.NONE)
        made.append(graph.new_operator(Op.ADD, [total, result], [joined], options=options))
        total = joined
    graph.replace(operator, made)


def _pads_itself(window: Window) -> bool:
    """Return whether the parts can pad with "same": at stride 1 a row of zeros more or less does not matter."""
    return window.same and (window.rows.stride, window.columns.stride) == (1, 1)


def _part_padding(window: Window, part: Part) -> np.ndarray | None:
    """Return PAD's amounts (4, 2) for a part with "valid" padding; None if it would have to crop instead."""
    amounts = np.zeros((4, 2), np.int32)
    axes = zip((window.rows, window.columns), (part.rows, part.columns), strict=True)
    for row, (axis, taps) in enumerate(axes, start=1):
        start = axis.before - taps[0]
        end = max(0, axis.stride * (axis.out - 1) + taps[-1] - axis.before - (axis.size - 1))
        made = (start + axis.size + end - (taps[-1] - taps[0] + 1)) // axis.stride + 1
        if start < 0 or made != axis.out:
            return None
        amounts[row] = start, end
    return amounts


def _part_operators(
    graph: Graph, operator: schema.OperatorT, window: Window, part: Part, *, bias: int, result: int
) -> list[schema.OperatorT]:
    """Return the part's convolution, preceded by the operators that it needs."""
    name, image, made = graph.tensor_name(result), window.image, []
    padding = _part_padding(window, part)
    if not _pads_itself(window) and padding.any():
        shape = np.asarray(graph.shape(image)) + padding.sum(axis=1)
        padded = graph.add_tensor(Type.FLOAT32, shape, f"{name}/padded")
        amounts = graph.add_constant(padding, f"{name}/padding")
        made.append(graph.new_operator(Op.PAD, [image, amounts], [padded], options=schema.PadOptionsT()))
        image = padded
    taps = graph.real_constant(operator.inputs[1])[:, part.rows][:, :, part.columns]
    weights, loading = add_real(graph, taps, f"{name}/weights", like=operator.inputs[1])
    row_dilation, column_dilation = part.dilation
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.SAME if _pads_itself(window) else schema.Padding.VALID,
        strideW=window.columns.stride,
        strideH=window.rows.stride,
        depthMultiplier=1,
        fusedActivationFunction=Activation.NONE,
        dilationWFactor=column_dilation,
        dilationHFactor=row_dilation,
    )
    convolution = graph.new_operator(Op.DEPTHWISE_CONV_2D, [image, weights, bias], [result], options=options, version=2)
    return [*loading, *made, convolution]
