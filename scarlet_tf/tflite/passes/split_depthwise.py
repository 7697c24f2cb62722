"""Pass that rewrites 7x7 depthwise convolutions as sums of smaller, dilated ones.

XNNPACK has depthwise kernels for up to 25 taps; 49 take a path that is several times slower. The taps of a 7x7 window
are split into parts with equally spaced rows and equally spaced columns. Each part is then a dilated depthwise
convolution, whose cost depends on its taps alone, and the parts' results are added. The sum is exact, except for the
order of additions.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Activation, Graph, Op, Type
from scarlet_tf.tflite.passes import PassReport

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
FLOAT_PARTS = (
    Part((1, 2, 3, 4, 5), (1, 2, 3, 4, 5)),
    Part((0, 6), (0, 2, 4, 6)),
    Part((0, 6), (1, 3, 5)),
    Part((1, 3, 5), (0, 6)),
    Part((2, 4), (0, 6)),
)
# Three 25-tap kernels: fewer sums, for parts whose results are rounded to int8.
INT8_PARTS = (
    Part((0, 3, 6), tuple(range(KERNEL))),
    Part((1, 5), tuple(range(KERNEL))),
    Part((2, 4), tuple(range(KERNEL))),
)


def split_depthwise(graph: Graph, parts: tuple[Part, ...] = FLOAT_PARTS) -> PassReport:
    """Split every float 7x7 depthwise convolution whose padding allows it; a PAD in front merges into theirs."""
    found = [operator for operator in graph.of_kind(Op.DEPTHWISE_CONV_2D) if _is_7x7(graph, operator)]
    split = sum(_split(graph, operator, parts) for operator in found)
    graph.prune()
    if not found:
        return PassReport(name="split_depthwise", changes=0, note="no float 7x7 depthwise convolution")
    left = f"; {len(found) - split} left, padded otherwise" if split < len(found) else ""
    return PassReport(name="split_depthwise", changes=split, note=f"7x7 depthwise into {len(parts)} parts{left}")


def _is_7x7(graph: Graph, operator: schema.OperatorT) -> bool:
    image, kernel = operator.inputs[:2]
    options = operator.builtinOptions
    return (
        isinstance(options, schema.DepthwiseConv2DOptionsT)
        and graph.is_type(image, Type.FLOAT32)
        and all(graph.is_map(index) for index in (image, kernel, *operator.outputs))
        and graph.shape(kernel)[1:3] == (KERNEL, KERNEL)
        and graph.shape(kernel)[3] == graph.shape(image)[3]
        and (options.dilationHFactor, options.dilationWFactor) == (1, 1)
        and _sizes_hold(graph, operator)
        and graph.real_constant(kernel) is not None
    )


def _sizes_hold(graph: Graph, operator: schema.OperatorT) -> bool:
    """Return whether the file states the same output sizes as the interpreter infers."""
    options = operator.builtinOptions
    strides = options.strideH, options.strideW
    lost = 0 if options.padding == schema.Padding.SAME else KERNEL - 1
    sizes, outs = graph.shape(operator.inputs[0])[1:3], graph.shape(operator.outputs[0])[1:3]
    return all(
        stride > 0 and out == -(-(size - lost) // stride)
        for size, out, stride in zip(sizes, outs, strides, strict=True)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Window:
    """Position of a depthwise convolution's windows on its unpadded input.

    Attributes:
        image: tensor index of that input, (B, H, W, C).
        before: rows above and columns left of the input at which the first window starts.
        same: whether stride is 1 and padding "same", so that a row of zeros more or less does not matter.
    """

    image: int
    before: tuple[int, int]
    same: bool


def _window(graph: Graph, operator: schema.OperatorT) -> _Window | None:
    """Return the windows' position; None unless the padding is constant and only of height and width."""
    image, options = operator.inputs[0], operator.builtinOptions
    strides = options.strideH, options.strideW
    if options.padding == schema.Padding.SAME:
        sizes = zip(graph.shape(image)[1:3], graph.shape(operator.outputs[0])[1:3], strides, strict=True)
        before = tuple(max((out - 1) * stride + KERNEL - size, 0) // 2 for size, out, stride in sizes)
        return _Window(image=image, before=before, same=strides == (1, 1))
    source = graph.producer(image)
    if source is None or graph.code(source) != Op.PAD:
        return _Window(image=image, before=(0, 0), same=False)
    amounts = graph.constant(source.inputs[1])
    if amounts is None or amounts.shape != (4, 2) or amounts[[0, 3]].any() or not graph.is_map(source.inputs[0]):
        return None
    if graph.shape(image) != tuple(graph.shape(source.inputs[0]) + amounts.sum(axis=1)):
        return None
    return _Window(image=source.inputs[0], before=(int(amounts[1, 0]), int(amounts[2, 0])), same=False)


def _part_padding(graph: Graph, operator: schema.OperatorT, window: _Window, part: Part) -> np.ndarray | None:
    """Return PAD's amounts (4, 2) for a part with "valid" padding; None if it would have to crop instead."""
    options = operator.builtinOptions
    sizes, outs = graph.shape(window.image)[1:3], graph.shape(operator.outputs[0])[1:3]
    amounts = np.zeros((4, 2), np.int32)
    axes = zip(sizes, outs, (options.strideH, options.strideW), window.before, (part.rows, part.columns), strict=True)
    for axis, (size, out, stride, before, taps) in enumerate(axes, start=1):
        start = before - taps[0]
        end = max(0, stride * (out - 1) + taps[-1] - before - (size - 1))
        made = (start + size + end - (taps[-1] - taps[0] + 1)) // stride + 1
        if start < 0 or made != out:
            return None
        amounts[axis] = start, end
    return amounts


def _split(graph: Graph, operator: schema.OperatorT, parts: tuple[Part, ...]) -> bool:
    window = _window(graph, operator)
    paddings = [window and _part_padding(graph, operator, window, part) for part in parts]
    if any(padding is None for padding in paddings):
        return False
    output = operator.outputs[0]
    name, shape = graph.tensor_name(output), graph.shape(output)
    zeros = graph.add_constant(np.zeros(shape[3], np.float32), f"{name}/no_bias")
    bias = operator.inputs[2] if len(operator.inputs) > 2 and operator.inputs[2] >= 0 else zeros
    activation = operator.builtinOptions.fusedActivationFunction
    made: list[schema.OperatorT] = []
    total = None
    for number, (part, padding) in enumerate(zip(parts, paddings, strict=True)):
        result = graph.add_tensor(Type.FLOAT32, shape, f"{name}/part{number}")
        made += _part_operators(
            graph, operator, window, part, padding=padding, bias=zeros if number else bias, result=result
        )
        if total is None:
            total = result
            continue
        last = number == len(parts) - 1
        joined = output if last else graph.add_tensor(Type.FLOAT32, shape, f"{name}/sum{number}")
        options = schema.AddOptionsT(fusedActivationFunction=activation if last else Activation.NONE)
        made.append(graph.new_operator(Op.ADD, [total, result], [joined], options=options))
        total = joined
    graph.replace(operator, made)
    return True


def _part_operators(
    graph: Graph,
    operator: schema.OperatorT,
    window: _Window,
    part: Part,
    *,
    padding: np.ndarray,
    bias: int,
    result: int,
) -> list[schema.OperatorT]:
    """Return the part's convolution, preceded by the operators that it needs."""
    name, image, made = graph.tensor_name(result), window.image, []
    if not window.same and padding.any():
        shape = np.asarray(graph.shape(image)) + padding.sum(axis=1)
        padded = graph.add_tensor(Type.FLOAT32, shape, f"{name}/padded")
        amounts = graph.add_constant(padding, f"{name}/padding")
        made.append(graph.new_operator(Op.PAD, [image, amounts], [padded], options=schema.PadOptionsT()))
        image = padded
    weights, loading = _part_weights(graph, operator.inputs[1], part, name=f"{name}/weights")
    old = operator.builtinOptions
    row_dilation, column_dilation = part.dilation
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.SAME if window.same else schema.Padding.VALID,
        strideW=old.strideW,
        strideH=old.strideH,
        depthMultiplier=1,
        fusedActivationFunction=Activation.NONE,
        dilationWFactor=column_dilation,
        dilationHFactor=row_dilation,
    )
    convolution = graph.new_operator(Op.DEPTHWISE_CONV_2D, [image, weights, bias], [result], options=options, version=2)
    return [*loading, *made, convolution]


def _part_weights(graph: Graph, kernel: int, part: Part, *, name: str) -> tuple[int, list[schema.OperatorT]]:
    """Return the part's taps, and operators that load them: float16 constants stay float16, with a DEQUANTIZE."""
    taps = graph.real_constant(kernel)[:, part.rows][:, :, part.columns]
    source = graph.producer(kernel)
    if source is None or not graph.is_type(source.inputs[0], Type.FLOAT16):
        return graph.add_constant(taps, name), []
    stored = graph.add_constant(taps.astype(np.float16), f"{name}/float16")
    loaded = graph.add_tensor(Type.FLOAT32, taps.shape, name)
    return loaded, [graph.new_operator(Op.DEQUANTIZE, [stored], [loaded], version=3)]
