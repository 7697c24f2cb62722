"""A convolution as its forms see it: windows over the input before any PAD."""

from __future__ import annotations

import dataclasses

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.axis import Axis
from scarlet_tf.tflite.graph import Graph, Op


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """Windows of a convolution on its unpadded input.

    Attributes:
        image: tensor index of that input, (1, H, W, C).
        channels: C, of a depthwise convolution also of the output.
        rows, columns: sizes, taps, stride and zeros before, along each axis.
        same: whether the operator itself pads, with "same".
    """

    image: int
    channels: int
    rows: Axis
    columns: Axis
    same: bool


def read_window(graph: Graph, operator: schema.OperatorT) -> Window | None:
    """Return the windows of a convolution, depthwise or not.

    Returns:
        None if the operator has groups, a multiplier or dilation, states other sizes than the interpreter infers, or
        reads a PAD whose amounts are computed or pad more than height and width.
    """
    image, kernel, options = operator.inputs[0], operator.inputs[1], operator.builtinOptions
    if not isinstance(options, schema.DepthwiseConv2DOptionsT | schema.Conv2DOptionsT):
        return None
    if not all(graph.is_map(index) for index in (image, kernel, *operator.outputs)):
        return None
    channels = graph.shape(image)[3]
    if graph.shape(kernel)[3] != channels or (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        return None
    taps, strides = graph.shape(kernel)[1:3], (options.strideH, options.strideW)
    outs = graph.shape(operator.outputs[0])[1:3]
    same = options.padding == schema.Padding.SAME
    for size, out, k, stride in zip(graph.shape(image)[1:3], outs, taps, strides, strict=True):
        if stride < 1 or out < 1 or out != -(-(size - (0 if same else k - 1)) // stride):
            return None
    if same:
        sizes = zip(graph.shape(image)[1:3], outs, taps, strides, strict=True)
        before = tuple(max((out - 1) * stride + k - size, 0) // 2 for size, out, k, stride in sizes)
    else:
        found = _before(graph, image)
        if found is None:
            return None
        image, before = found
    rows, columns = (
        Axis(size=size, out=out, taps=k, stride=stride, before=zeros)
        for size, out, k, stride, zeros in zip(graph.shape(image)[1:3], outs, taps, strides, before, strict=True)
    )
    return Window(image=image, channels=channels, rows=rows, columns=columns, same=same)


def _before(graph: Graph, image: int) -> tuple[int, tuple[int, int]] | None:
    """Return the input of the PAD in front, with its rows above and columns left; the image itself without a PAD."""
    source = graph.producer(image)
    if source is None or graph.code(source) != Op.PAD:
        return image, (0, 0)
    amounts = graph.constant(source.inputs[1])
    if amounts is None or amounts.shape != (4, 2) or amounts[[0, 3]].any() or not graph.is_map(source.inputs[0]):
        return None
    if graph.shape(image) != tuple(graph.shape(source.inputs[0]) + amounts.sum(axis=1)):
        return None
    return source.inputs[0], (int(amounts[1, 0]), int(amounts[2, 0]))
