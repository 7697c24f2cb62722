"""Float islands in an int8 graph: DEQUANTIZE, an operator that XNNPACK runs faster in float, QUANTIZE."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Graph, Op, Type
from scarlet_tf.tflite.passes import PassReport

_IMAGE_CHANNELS = 4  # the most that an image has


def float_islands(graph: Graph) -> PassReport:
    """Make islands of int8 7x7 depthwise convolutions, for `split_depthwise`, and of convolutions of an image.

    A PAD in front joins the island if nothing else reads its result.
    """
    large = [operator for operator in graph.of_kind(Op.DEPTHWISE_CONV_2D) if _is_large_depthwise(graph, operator)]
    stem = [operator for operator in graph.of_kind(Op.CONV_2D) if _is_of_image(graph, operator)]
    for operator in large + stem:
        source = graph.producer(operator.inputs[0])
        padded = source is not None and graph.code(source) == Op.PAD and _is_alone(graph, source)
        graph.replace(operator, _island(graph, source, operator) if padded else _island(graph, operator))
    graph.prune()
    if not large and not stem:
        return PassReport(name="float_islands", changes=0, note="no int8 7x7 depthwise or image convolution")
    note = f"{len(large)} 7x7 depthwise and {len(stem)} image convolutions in float"
    return PassReport(name="float_islands", changes=len(large) + len(stem), note=note, rounds_anew=True)


def float_activations(graph: Graph) -> PassReport:
    """Put every int8 HARD_SWISH and SOFTMAX between DEQUANTIZE and QUANTIZE: XNNPACK has neither in int8.

    XNNPACK runs the three operators of a HARD_SWISH as one lookup table of 256 values.
    """
    found = [
        operator
        for code in (Op.HARD_SWISH, Op.SOFTMAX)
        for operator in graph.of_kind(code)
        if _is_int8(graph, operator)
    ]
    for operator in found:
        graph.replace(operator, _island(graph, operator))
    note = "int8 HARD_SWISH and SOFTMAX through float" if found else "no int8 HARD_SWISH or SOFTMAX"
    return PassReport(name="float_activations", changes=len(found), note=note, rounds_anew=True)


def _is_large_depthwise(graph: Graph, operator: schema.OperatorT) -> bool:
    return (
        _is_int8(graph, operator)
        and graph.is_map(operator.inputs[1])
        and graph.shape(operator.inputs[1])[1:3] == (7, 7)
        and _constants_known(graph, operator)
    )


def _is_of_image(graph: Graph, operator: schema.OperatorT) -> bool:
    kernel = graph.shape(operator.inputs[1])
    return (
        _is_int8(graph, operator)
        and graph.is_map(operator.inputs[1])
        and kernel[3] <= _IMAGE_CHANNELS
        and kernel[1:3] != (1, 1)
        and _constants_known(graph, operator)
    )


def _is_int8(graph: Graph, operator: schema.OperatorT) -> bool:
    """Return whether the operator's input and output are int8, each with one scale."""
    return all(_is_int8_tensor(graph, index) for index in (operator.inputs[0], operator.outputs[0]))


def _is_int8_tensor(graph: Graph, index: int) -> bool:
    scale, _, _ = graph.quantization(index)
    return graph.is_type(index, Type.INT8) and scale is not None and scale.size == 1


def _constants_known(graph: Graph, operator: schema.OperatorT) -> bool:
    constants = [index for index in operator.inputs[1:] if index >= 0]
    return all(
        graph.quantization(index)[0] is not None and graph.real_constant(index) is not None for index in constants
    )


def _is_alone(graph: Graph, pad: schema.OperatorT) -> bool:
    """Return whether the PAD is int8 and only one operator reads its result."""
    result = pad.outputs[0]
    return _is_int8(graph, pad) and len(graph.consumers(result)) == 1 and not graph.is_output(result)


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
