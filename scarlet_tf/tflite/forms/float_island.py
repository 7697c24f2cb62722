"""Form of an int8 operator: DEQUANTIZE, the operator in float, QUANTIZE, where XNNPACK is faster in float."""

from __future__ import annotations

from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.forms.form import Variant
from scarlet_tf.tflite.forms.grouped import LEAST_TAPS
from scarlet_tf.tflite.forms.parts import FIVE_PARTS, can_split, split
from scarlet_tf.tflite.forms.quantized import constants_known, is_int8
from scarlet_tf.tflite.graph import Graph, Op, Type

_IMAGE_CHANNELS = 4  # the most that an image has


class FloatConvolution:
    """Large depthwise convolutions, and convolutions of an image: "float", or "float, five parts" for 7x7 depthwise."""

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        if not _is_candidate(graph, operator):
            return
        pad = _pad_before(graph, operator)
        splits = graph.code(operator) == Op.DEPTHWISE_CONV_2D and can_split(graph, operator, FIVE_PARTS)
        if splits and (pad is None or _is_alone(graph, pad)):
            yield Variant(name="float, five parts", apply=_into_island_in_parts, rounds_anew=True)
        else:
            yield Variant(name="float", apply=_into_island, rounds_anew=True)


class FloatActivation:
    """HARD_SWISH and SOFTMAX, which XNNPACK lacks in int8: "float".

    XNNPACK runs the three operators of a HARD_SWISH as one lookup table of 256 values.
    """

    def variants(self, graph: Graph, operator: schema.OperatorT) -> Iterator[Variant]:
        if graph.code(operator) in (Op.HARD_SWISH, Op.SOFTMAX) and is_int8(graph, operator):
            yield Variant(name="float", apply=_into_island, rounds_anew=True)


def _is_candidate(graph: Graph, operator: schema.OperatorT) -> bool:
    code = graph.code(operator)
    if code not in (Op.DEPTHWISE_CONV_2D, Op.CONV_2D) or not graph.is_map(operator.inputs[1]):
        return False
    _, height, width, channels = graph.shape(operator.inputs[1])
    if code == Op.CONV_2D:
        wanted = channels <= _IMAGE_CHANNELS and (height, width) != (1, 1)
    else:
        wanted = height * width >= LEAST_TAPS
    return wanted and is_int8(graph, operator) and constants_known(graph, operator)


def _into_island_in_parts(graph: Graph, operator: schema.OperatorT) -> None:
    split(graph, _into_island(graph, operator), parts=FIVE_PARTS)


def _into_island(graph: Graph, operator: schema.OperatorT) -> schema.OperatorT:
    """Replace the operator by an island, with a PAD that only it reads. Return the operator in float."""
    pad = _pad_before(graph, operator)
    made = _island(graph, pad, operator) if pad is not None and _is_alone(graph, pad) else _island(graph, operator)
    graph.replace(operator, made)
    return made[-2]


def _pad_before(graph: Graph, operator: schema.OperatorT) -> schema.OperatorT | None:
    source = graph.producer(operator.inputs[0])
    return source if source is not None and graph.code(source) == Op.PAD else None


def _is_alone(graph: Graph, pad: schema.OperatorT) -> bool:
    """Return whether the PAD is int8 and only one operator reads its result."""
    result = pad.outputs[0]
    return is_int8(graph, pad) and len(graph.consumers(result)) == 1 and not graph.is_output(result)


def _island(graph: Graph, *chain: schema.OperatorT) -> list[schema.OperatorT]:
    """Return operators to replace a chain: its input dequantized, its constants in float, its output quantized."""
    image = chain[0].inputs[0]
    name = graph.tensor_name(chain[-1].outputs[0])
    real_image = graph.add_tensor(Type.FLOAT32, graph.shape(image), f"{name}/real_input")
    made = [graph.new_operator(Op.DEQUANTIZE, [image], [real_image], version=2)]
    for operator in chain:
        output = operator.outputs[0]
        prefix = f"{graph.tensor_name(output)}/real"
        constants = [_real(graph, index, name=f"{prefix}{number}") for number, index in enumerate(operator.inputs[1:])]
        real_output = graph.add_tensor(Type.FLOAT32, graph.shape(output), prefix)
        inputs, options = [real_image, *constants], operator.builtinOptions
        made.append(graph.new_operator(graph.code(operator), inputs, [real_output], options=options))
        real_image = real_output
    return [*made, graph.new_operator(Op.QUANTIZE, [real_image], [chain[-1].outputs[0]])]


def _real(graph: Graph, index: int, *, name: str) -> int:
    """Return a float copy of a quantized constant; -1 (omitted) and plain integers, such as PAD's amounts, stay."""
    if index < 0 or graph.quantization(index)[0] is None:
        return index
    return graph.add_constant(graph.real_constant(index), name)
