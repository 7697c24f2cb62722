"""Form of a network's first int8 convolution: the same over pairs of columns, exact to the bit.

An image has three channels, but XNNPACK's int8 matrix kernels read four to eight at a time. Two neighbouring columns of
three channels lie in memory like one of six, so a RESHAPE makes them one, and a 3x3 convolution of stride 2 becomes a
3x2 one of column stride 1. Taps that a window does not read are zero. In float the gain is below 2 %, or a loss.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.axis import Blocks, blocks_of, single
from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.quantized import constants_known, is_int8
from scarlet_tf.tflite.forms.window import Window, read_window
from scarlet_tf.tflite.graph import Graph, Op, Type

_MOST_CHANNELS = 4  # of an image
_STRIDE = 2


class ColumnPairs:
    """Int8 convolutions of stride 2 of an image: "column pairs"."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        if _readable_window(graph, operator) is not None:
            yield Variant(name="column pairs", apply=_replace)


def _readable_window(graph: Graph, operator: schema.OperatorT) -> Window | None:
    if graph.code(operator) != Op.CONV_2D:
        return None
    window = read_window(graph, operator)
    if window is None or not 1 < window.channels <= _MOST_CHANNELS or graph.shape(window.image)[0] != 1:
        return None
    if window.columns.stride != _STRIDE or window.columns.taps == 1 or graph.is_open(window.image):
        return None
    if blocks_of(window.columns, block=_STRIDE, tile=1).tiles != window.columns.out:  # one column too many
        return None
    return window if _int8_known(graph, operator, window) else None


def _int8_known(graph: Graph, operator: schema.OperatorT, window: Window) -> bool:
    image, kernel, *bias = operator.inputs
    if not (is_int8(graph, operator) and constants_known(graph, operator) and graph.is_type(kernel, Type.INT8)):
        return False
    if not bias or bias[0] < 0:
        return False
    padded, unpadded = graph.quantization(image), graph.quantization(window.image)
    return unpadded[0] is not None and all(np.array_equal(a, b) for a, b in zip(padded[:2], unpadded[:2], strict=True))


def _replace(graph: Graph, operator: schema.OperatorT) -> None:
    window = _readable_window(graph, operator)
    rows, columns = single(window.rows), blocks_of(window.columns, block=_STRIDE, tile=1)
    name, image, made = graph.tensor_name(operator.outputs[0]), window.image, []

    def add(code: int, x: int, shape, options, constant: np.ndarray) -> int:
        label = f"{name}/{len(made)}"
        result = graph.add_tensor(
            graph.tensor(x).type, tuple(shape), label, quantization=copy.deepcopy(graph.tensor(x).quantization)
        )
        made.append(
            graph.new_operator(code, [x, graph.add_constant(constant, f"{label}/how")], [result], options=options)
        )
        return result

    def pad(x: int, rows: tuple[int, int], columns: tuple[int, int]) -> int:
        amounts = np.int32([(0, 0), rows, columns, (0, 0)])
        shape = np.asarray(graph.shape(x)) + amounts.sum(axis=1)
        return add(Op.PAD, x, shape, schema.PadOptionsT(), amounts) if amounts.any() else x

    image = pad(image, (0, 0), (columns.front, columns.back))
    _, height, width, channels = graph.shape(image)
    paired = (1, height, width // _STRIDE, channels * _STRIDE)
    image = add(Op.RESHAPE, image, paired, schema.ReshapeOptionsT(newShape=list(paired)), np.int32(paired))
    same = rows.is_same and columns.is_same
    if not same:
        image = pad(image, rows.padding, columns.padding)  # right before the convolution, where XNNPACK joins them
    weights = _weights(graph, operator.inputs[1], columns, name=f"{name}/pairs")
    options = copy.copy(operator.builtinOptions)
    options.padding, options.strideW = (schema.Padding.SAME if same else schema.Padding.VALID), columns.step
    inputs = [image, weights, *operator.inputs[2:]]
    graph.replace(
        operator, [*made, graph.new_operator(Op.CONV_2D, inputs, operator.outputs, options=options, version=3)]
    )


def _weights(graph: Graph, kernel: int, columns: Blocks, *, name: str) -> int:
    """Return the kernel, (outputs, rows, columns, C), laid out as (outputs, rows, pairs, 2 C)."""
    values, taps = graph.constant(kernel), columns.taps_read()[0]
    read = (taps >= 0) & (taps < values.shape[2])
    laid_out = np.where(read[:, None], values[:, :, np.clip(taps, 0, values.shape[2] - 1)], np.int8(0))
    laid_out = laid_out.reshape(*values.shape[:2], columns.taps, -1)
    return graph.add_constant(laid_out, name, quantization=copy.deepcopy(graph.tensor(kernel).quantization))
