"""A depthwise convolution as a grouped convolution over blocks, in int8 exact to the bit.

XNNPACK's depthwise kernels multiply element by element. Its convolutions are matrix products, which use the dot
products of ARM and of AVX-512 VNNI. So the input is cut into blocks, a channel of a block becomes the input channels of
a group, and the outputs of a tile its output channels. The weights are the kernel laid out as a Toeplitz matrix: zero
where an output does not read an element. In int8 the weights, the sums and the one rounding are the depthwise
operator's own, so XNNPACK gives the same bits (LiteRT's own kernels, without it, round convolutions and depthwise ones
differently, by one at most). In float only the order of additions differs, and infinities spread over a block as NaN.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.axis import Blocks
from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.quantized import constants_known, is_int8
from scarlet_tf.tflite.forms.window import Window, read_window
from scarlet_tf.tflite.graph import Graph, Op, Type

LEAST_TAPS = 25  # smaller kernels have fast depthwise kernels of their own
_MOST_WEIGHTS = 4_000_000  # of one operator
_GROUPS = (1, 2, 4, 8)  # channels of a group: more fill a matrix kernel that is wider than a tile
_WIDEST = 64  # outputs of a group of several channels: XNNPACK's matrix kernels are 8 to 64 wide

Layout = Callable[["Chain", int, Blocks, Blocks, int], int]


def readable_window(graph: Graph, operator: schema.OperatorT) -> Window | None:
    """Return the windows of a depthwise convolution that can become a grouped one, else None."""
    if graph.code(operator) != Op.DEPTHWISE_CONV_2D:
        return None
    window = read_window(graph, operator)
    if window is None or window.rows.taps * window.columns.taps < LEAST_TAPS:
        return None
    if graph.shape(window.image)[0] != 1 or graph.is_open(window.image):
        return None
    known = _int8_known(graph, operator, window) if is_int8(graph, operator) else _float_known(graph, operator)
    return window if known else None


def _int8_known(graph: Graph, operator: schema.OperatorT, window: Window) -> bool:
    _, kernel, *bias = operator.inputs
    if not constants_known(graph, operator) or not bias or bias[0] < 0:
        return False
    scale, zero_point, axis = graph.quantization(kernel)
    padded, unpadded = (graph.quantization(index) for index in (operator.inputs[0], window.image))
    return (
        graph.is_type(kernel, Type.INT8)
        and (scale.size, axis) == (window.channels, 3)
        and not zero_point.any()
        and graph.is_type(bias[0], Type.INT32)
        and graph.quantization(bias[0])[0].size == window.channels
        and padded[0] is not None
        and unpadded[0] is not None
        and np.array_equal(padded[0], unpadded[0])
        and np.array_equal(padded[1], unpadded[1])
    )


def _float_known(graph: Graph, operator: schema.OperatorT) -> bool:
    image, kernel, *bias = operator.inputs
    return (
        graph.is_type(image, Type.FLOAT32)
        and graph.is_type(kernel, Type.FLOAT32)
        and all(graph.real_constant(index) is not None for index in (kernel, *bias) if index >= 0)
    )


def variants_by_group(
    name: str, window: Window, blocks: tuple[Blocks, Blocks], *, order: int, to_blocks: Layout, from_blocks: Layout
) -> Iterator[Variant]:
    """Yield a variant for each number of channels that a group may have: "rows", "rows, groups of 2" and so on.

    Args:
        name: of the variant with one channel a group.
        window: of the depthwise convolution.
        order: as in `Variant`.
        blocks, to_blocks, from_blocks: as for `replace_by_blocks`.
    """
    rows, columns = blocks
    outputs = rows.tile * columns.tile
    weights = window.channels * outputs * rows.taps * columns.taps * rows.block * columns.block
    for group in _GROUPS:
        if window.channels % group or group * weights > _MOST_WEIGHTS or (group > 1 and group * outputs > _WIDEST):
            continue
        apply = functools.partial(
            replace_by_blocks, blocks=blocks, group=group, to_blocks=to_blocks, from_blocks=from_blocks
        )
        yield Variant(name=name if group == 1 else f"{name}, groups of {group}", apply=apply, order=order)


def replace_by_blocks(
    graph: Graph,
    operator: schema.OperatorT,
    *,
    blocks: tuple[Blocks, Blocks],
    group: int,
    to_blocks: Layout,
    from_blocks: Layout,
) -> None:
    """Replace a depthwise convolution by a grouped convolution over blocks.

    Args:
        graph, operator: one for which `readable_window` returns windows.
        blocks: of rows and of columns.
        group: channels of a group, a divisor of the channels.
        to_blocks: lays out a map (1, H, W, C), padded to whole blocks, as (1, blocks, blocks, C * block * block), by
            group, element of a block, and channel of the group.
        from_blocks: lays out tiles (1, tiles, tiles, C * tile * tile), in the same order, as a map (1, H', W', C).
    """
    rows, columns = blocks
    chain = Chain(graph, operator)
    x = chain.pad(readable_window(graph, operator).image, ((rows.front, rows.back), (columns.front, columns.back)))
    x = to_blocks(chain, x, rows, columns, group)
    padding = schema.Padding.SAME
    if not (rows.is_same and columns.is_same):
        x, padding = chain.pad(x, (rows.padding, columns.padding)), schema.Padding.VALID
    x = chain.convolve(x, rows, columns, group=group, padding=padding)
    from_blocks(chain, x, rows, columns, group)
    chain.end()


class Chain:
    """Operators that replace a depthwise convolution, one after the other, each on the result of the one before."""

    def __init__(self, graph: Graph, operator: schema.OperatorT) -> None:
        self._graph, self._operator = graph, operator
        self._name = graph.tensor_name(operator.outputs[0])
        self._made: list[schema.OperatorT] = []

    def pad(self, x: int, amounts: tuple[tuple[int, int], tuple[int, int]]) -> int:
        """Add zeros (before, behind) to rows and columns; nothing if all amounts are 0."""
        if not np.any(amounts):
            return x
        amounts = np.int32([(0, 0), *amounts, (0, 0)])
        shape = np.asarray(self._graph.shape(x)) + amounts.sum(axis=1)
        return self._add(Op.PAD, x, shape, schema.PadOptionsT(), amounts)

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        if self._graph.shape(x) == tuple(shape):
            return x
        return self._add(Op.RESHAPE, x, shape, schema.ReshapeOptionsT(newShape=list(shape)), np.int32(shape))

    def to_groups(self, x: int, blocks: tuple[int, ...], elements: tuple[int, ...], group: int) -> int:
        """Lay out elements of all channels, (*blocks, *elements, C), as elements by group: (*blocks, C, *elements).

        The channels of a group stay together, as one item of a transposition, which is the faster the larger its items.
        """
        channels = self._channels(x, blocks, elements)
        if group > 1:
            shape = (math.prod(blocks), math.prod(elements), channels // group, group)
            return self.transpose(self.reshape(x, shape), (0, 2, 1, 3))
        kept, last = len(blocks), len(blocks) + len(elements)
        x = self.reshape(x, (*blocks, *elements, channels))
        return self.transpose(x, (*range(kept), last, *range(kept, last)))

    def from_groups(self, x: int, blocks: tuple[int, ...], elements: tuple[int, ...], group: int) -> int:
        """Lay out elements by group, (*blocks, C, *elements), as elements of all channels: (*blocks, *elements, C)."""
        channels = self._channels(x, blocks, elements)
        if group > 1:
            shape = (math.prod(blocks), channels // group, math.prod(elements), group)
            return self.transpose(self.reshape(x, shape), (0, 2, 1, 3))
        kept, last = len(blocks), len(blocks) + len(elements)
        x = self.reshape(x, (*blocks, channels, *elements))
        return self.transpose(x, (*range(kept), *range(kept + 1, last + 1), kept))

    def _channels(self, x: int, blocks: tuple[int, ...], elements: tuple[int, ...]) -> int:
        return math.prod(self.shape(x)) // math.prod((*blocks, *elements))

    def transpose(self, x: int, order: tuple[int, ...]) -> int:
        """Transpose; in up to four dimensions, since the runtime is several times slower in five."""
        shape = [self._graph.shape(x)[axis] for axis in order]
        return self._add(Op.TRANSPOSE, x, shape, schema.TransposeOptionsT(), np.int32(order), version=2)

    def space_to_depth(self, x: int, block: int) -> int:
        _, height, width, channels = self._graph.shape(x)
        shape = (1, height // block, width // block, channels * block * block)
        return self._add(Op.SPACE_TO_DEPTH, x, shape, schema.SpaceToDepthOptionsT(blockSize=block), version=2)

    def depth_to_space(self, x: int, block: int) -> int:
        _, height, width, channels = self._graph.shape(x)
        shape = (1, height * block, width * block, channels // block**2)
        return self._add(Op.DEPTH_TO_SPACE, x, shape, schema.DepthToSpaceOptionsT(blockSize=block), version=2)

    def shape(self, x: int) -> tuple[int, ...]:
        return self._graph.shape(x)

    def convolve(self, x: int, rows: Blocks, columns: Blocks, *, group: int, padding: int) -> int:
        old = self._operator.builtinOptions
        options = schema.Conv2DOptionsT(
            padding=padding,
            strideH=rows.step,
            strideW=columns.step,
            dilationHFactor=1,
            dilationWFactor=1,
            fusedActivationFunction=old.fusedActivationFunction,
        )
        kernel, *bias = self._operator.inputs[1:]
        outputs = rows.tile * columns.tile
        weights, loading = self._weights(kernel, rows, columns, group=group)
        constants = [weights, self._bias(bias, kernel, outputs, group=group)]
        channels = self._graph.shape(kernel)[3] * outputs
        y = self._new_tensor((1, rows.tiles, columns.tiles, channels), like=self._operator.outputs[0])
        convolution = self._graph.new_operator(Op.CONV_2D, [x, *constants], [y], options=options, version=6)
        self._made += [*loading, convolution]
        return y

    def _weights(self, kernel: int, rows: Blocks, columns: Blocks, *, group: int) -> tuple[int, list[schema.OperatorT]]:
        graph, name = self._graph, f"{self._name}/blocks"
        outputs = rows.tile * columns.tile
        if graph.is_type(kernel, Type.INT8):
            values = toeplitz(graph.constant(kernel)[0], rows, columns, group=group)
            return graph.add_constant(values, name, quantization=_repeated(graph, kernel, outputs, group)), []
        values = toeplitz(graph.real_constant(kernel)[0], rows, columns, group=group)
        return add_real(graph, values, name, like=kernel)

    def _bias(self, bias: list[int], kernel: int, outputs: int, *, group: int) -> int:
        graph, name = self._graph, f"{self._name}/blocks_bias"
        if bias and bias[0] >= 0:
            if not graph.is_type(kernel, Type.INT8):
                return graph.add_constant(by_group(graph.real_constant(bias[0]), outputs, group), name)
            values, quantization = graph.constant(bias[0]), _repeated(graph, bias[0], outputs, group)
            return graph.add_constant(by_group(values, outputs, group), name, quantization=quantization)
        return graph.add_constant(np.zeros(graph.shape(kernel)[3] * outputs, np.float32), name)

    def crop(self, x: int, height: int, width: int) -> int:
        """Leave out the rows and columns behind `height` and `width`."""
        if self._graph.shape(x)[1:3] == (height, width):
            return x
        shape = (1, height, width, self._graph.shape(x)[3])
        return self._add(Op.SLICE, x, shape, schema.SliceOptionsT(), np.zeros(4, np.int32), np.int32(shape), version=2)

    def end(self) -> None:
        """Replace the depthwise convolution by the operators; the last one writes its result."""
        last = self._made[-1]
        last.outputs = list(self._operator.outputs)
        self._graph.replace(self._operator, self._made)

    def _add(self, code: int, x: int, shape, options, *constants: np.ndarray, version: int = 1) -> int:
        name = f"{self._name}/blocks{len(self._made)}"
        inputs = [self._graph.add_constant(values, f"{name}_{i}") for i, values in enumerate(constants)]
        y = self._new_tensor(shape, like=x)
        self._made.append(self._graph.new_operator(code, [x, *inputs], [y], options=options, version=version))
        return y

    def _new_tensor(self, shape, *, like: int) -> int:
        source = self._graph.tensor(like)
        name = f"{self._name}/blocks{len(self._made)}"
        return self._graph.add_tensor(source.type, shape, name, quantization=copy.deepcopy(source.quantization))


def toeplitz(kernel: np.ndarray, rows: Blocks, columns: Blocks, *, group: int) -> np.ndarray:
    """Return the weights of the grouped convolution.

    Args:
        kernel: of the depthwise convolution, (rows, columns, C).
        rows, columns: blocks.
        group: channels of a group.

    Returns:
        Weights (C * tile * tile, taps, taps, group * block * block), of the kernel's dtype: outputs by group, row and
        column of a tile, and channel of the group; inputs by row and column of a block, and channel of the group. They
        are zero between different channels.
    """
    channels, outputs = kernel.shape[2], rows.tile * columns.tile
    down, along = rows.taps_read(), columns.taps_read()
    read = np.logical_and.outer(_in(down, kernel.shape[0]), _in(along, kernel.shape[1]))
    values = kernel[
        np.clip(down, 0, kernel.shape[0] - 1)[:, :, None, None],
        np.clip(along, 0, kernel.shape[1] - 1)[None, None],
    ]  # (tile, elements, tile, elements, C)
    values = np.where(read[..., None], values, np.zeros((), kernel.dtype))
    values = values.reshape(rows.tile, rows.taps, rows.block, columns.tile, columns.taps, columns.block, channels)
    # (C, tile, tile, taps, taps, block, block)
    values = values.transpose(6, 0, 3, 1, 4, 2, 5)
    values = values.reshape(channels // group, group, outputs, rows.taps, columns.taps, rows.block * columns.block)
    grouped = np.zeros((channels // group, outputs, group, *values.shape[3:], group), kernel.dtype)
    for member in range(group):
        grouped[:, :, member, ..., member] = values[:, member]
    return grouped.reshape(channels * outputs, rows.taps, columns.taps, rows.block * columns.block * group)


def by_group(values: np.ndarray, outputs: int, group: int) -> np.ndarray:
    """Return values of channels (C,) for each output of a tile (C * outputs,): by group, output, and channel of it."""
    return np.repeat(values.reshape(-1, 1, group), outputs, axis=1).reshape(-1)


def _in(positions: np.ndarray, size: int) -> np.ndarray:
    return (positions >= 0) & (positions < size)


def add_real(graph: Graph, values: np.ndarray, name: str, *, like: int) -> tuple[int, list[schema.OperatorT]]:
    """Add a float constant stored as another is: in float16, with the DEQUANTIZE that loads it, or in float32.

    Returns:
        The tensor of the float32 values, and the operators that load them.
    """
    source = graph.producer(like)
    if source is None or not graph.is_type(source.inputs[0], Type.FLOAT16):
        return graph.add_constant(values.astype(np.float32), name), []
    stored = graph.add_constant(values.astype(np.float16), f"{name}/float16")
    loaded = graph.add_tensor(Type.FLOAT32, values.shape, name)
    return loaded, [graph.new_operator(Op.DEQUANTIZE, [stored], [loaded], version=3)]


def _repeated(graph: Graph, index: int, outputs: int, group: int) -> schema.QuantizationParametersT:
    """Return the quantization of a constant, with the scale of each channel for each output, along the first axis."""
    quantization = copy.deepcopy(graph.tensor(index).quantization)
    quantization.min = quantization.max = None
    quantization.quantizedDimension = 0
    quantization.scale = by_group(np.asarray(quantization.scale, np.float32), outputs, group)
    quantization.zeroPoint = np.zeros(quantization.scale.size, np.int64)
    return quantization
