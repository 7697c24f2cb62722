"""Files that run although they state wrong sizes, types or options: left alone, or refused in one line."""

import copy
import os

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite import Graph, optimize, optimize_file
from scarlet_tf.tflite.graph import Op, Type
from scarlet_tf.tflite.runtime import TFLiteFileError

CASES = 48
FAST = 16


@pytest.fixture(scope="module")
def padded(depthwise):
    return depthwise(8, stride=2, padding="pad")


def wider_stride(graph):
    graph.operators[-1].builtinOptions.strideW = 3


def map_of_another_size(graph):
    graph.tensor(graph.operators[0].outputs[0]).shape = np.int32([1, 20, 20, 3])


def output_of_another_size(graph):
    graph.tensor(graph.operators[-1].outputs[0]).shape = np.int32([1, 3, 3, 3])


@pytest.mark.parametrize("change", [wider_stride, map_of_another_size, output_of_another_size])
def test_wrong_sizes_are_left_alone(change, padded):
    graph = Graph(padded)
    change(graph)
    result = optimize(graph.to_bytes(), label="a")
    assert result.content == graph.to_bytes() and result.relative_error == 0.0
    assert result.choices == ()


@pytest.mark.parametrize("shape", [(1, 7, 7, 2), (0, 7, 7, 3), (1, 7, 21, 1), (1, 7, 7, 3, 1)])
def test_constants_that_do_not_fill_their_sizes_are_unknown(shape, depthwise):
    graph = Graph(depthwise(8, float16=True))
    weights = graph.operators[0].inputs[0]
    graph.tensor(weights).shape = np.int32(shape)
    assert graph.real_constant(graph.operators[0].outputs[0]) is None
    filled = int(np.prod(shape)) == 49 * 3
    assert (graph.constant(weights) is not None) == filled


def test_amounts_that_do_not_fill_their_type_are_unknown(padded):
    graph = Graph(padded)
    amounts = graph.operators[0].inputs[1]
    assert graph.constant(amounts).shape == (4, 2)
    graph.tensor(amounts).type = Type.INT64
    assert graph.constant(amounts) is None


def behind(graph, code, kind, shape, options):
    """The file with an operator in front of its input, which says what it likes about its result."""
    (image,) = graph.subgraph.inputs
    source = graph.add_tensor(kind, shape, "source")
    graph.operators.insert(0, graph.new_operator(code, [source], [image], options=options))
    graph.subgraph.inputs = [source]
    return graph.to_bytes()


def ending_in(graph, *outputs):
    graph.subgraph.outputs = list(outputs)
    return graph.to_bytes()


def test_sizes_that_agree_but_are_wrong(padded, tmp_path):
    content = behind(Graph(padded), Op.NEG, Type.FLOAT32, (1, 9, 10, 3), schema.NegOptionsT())
    (tmp_path / "a.tflite").write_bytes(content)
    with pytest.raises(
        TFLiteFileError, match="after rewriting, its outputs have other sizes: the file declares wrong ones"
    ):
        optimize_file(tmp_path / "a.tflite", tmp_path / "b.tflite")
    assert os.listdir(tmp_path) == ["a.tflite"]


def test_nan_is_equal_to_itself(padded):
    """Logarithms of a random input: half of what comes out is not a number, before as after."""
    graph = Graph(padded)
    (result,) = graph.subgraph.outputs
    logarithm = graph.add_tensor(Type.FLOAT32, graph.shape(result), "logarithm")
    graph.operators.append(graph.new_operator(Op.LOG, [result], [logarithm]))
    found = optimize(ending_in(graph, logarithm), label="a")
    assert np.isnan(found.before.outputs[0]).sum() > 5 and np.isfinite(found.before.outputs[0]).sum() > 5
    assert [choice.form[-5:] for choice in found.choices] == ["parts"] and found.relative_error <= 1e-5


def test_float64_and_int16_are_left_alone(new_graph):
    graph = new_graph()
    x, y = graph.add_tensor(Type.FLOAT64, (1, 4), "x"), graph.add_tensor(Type.FLOAT32, (1, 4), "y")
    graph.operators.append(graph.new_operator(Op.CAST, [x], [y], options=schema.CastOptionsT()))
    content = graph.between([x], [y])
    result = optimize(content, label="float64")
    assert result.content == content and result.before.inputs[0].dtype == np.float64
    graph = new_graph()
    x, y = (graph.add_tensor(Type.INT16, (1, 8, 8, 2), name) for name in "xy")
    weights = graph.add_constant(np.full((1, 7, 7, 2), 3, np.int8), "weights")
    bias = graph.add_constant(np.int64([5, -5]), "bias")
    for index, scales in ((x, [0.1]), (y, [0.2]), (weights, [0.5, 0.25]), (bias, [0.05, 0.025])):
        graph.tensor(index).quantization = schema.QuantizationParametersT(
            scale=np.float32(scales),
            zeroPoint=np.zeros(len(scales), np.int64),
            quantizedDimension=3 * (index == weights),
        )
    options = schema.DepthwiseConv2DOptionsT(
        strideH=1, strideW=1, depthMultiplier=1, dilationHFactor=1, dilationWFactor=1
    )
    operator = graph.new_operator(Op.DEPTHWISE_CONV_2D, [x, weights, bias], [y], options=options, version=5)
    graph.operators.append(operator)
    content = graph.between([x], [y])
    result = optimize(content, label="int16x8")
    assert result.content == content and result.before.operations == {"DEPTHWISE_CONV_2D": 1}


# Ways to change one thing that a file states; each takes (graph, operator, tensor, rng).
def other_input(graph, operator, tensor, rng):
    if operator.inputs:
        operator.inputs[rng.integers(len(operator.inputs))] = int(rng.integers(-1, len(graph.subgraph.tensors) + 1))


def other_output(graph, operator, tensor, rng):
    operator.outputs = [int(rng.integers(len(graph.subgraph.tensors) + 1))]


def fewer_inputs(graph, operator, tensor, rng):
    operator.inputs = operator.inputs[:-1]


def other_options(graph, operator, tensor, rng):
    source = graph.operators[rng.integers(len(graph.operators))]
    operator.builtinOptions, operator.builtinOptionsType = source.builtinOptions, source.builtinOptionsType


def other_option(graph, operator, tensor, rng):
    numbers = [k for k, v in vars(operator.builtinOptions or schema.PadOptionsT()).items() if isinstance(v, int)]
    for name in numbers[: rng.integers(len(numbers) + 1)][-1:]:
        setattr(operator.builtinOptions, name, int(rng.integers(-1, 4)))


def other_type(graph, operator, tensor, rng):
    tensor.type = int(rng.integers(20))


def other_size(graph, operator, tensor, rng):
    sizes = list(tensor.shape)
    sizes[rng.integers(len(sizes))] = int(rng.choice([-1, 0, 1, 2, 7, 9, 2**31 - 1]))
    tensor.shape = np.int32(sizes)


def other_rank(graph, operator, tensor, rng):
    tensor.shape = [None, tensor.shape[1:], np.int32([1, *tensor.shape])][rng.integers(3)]


def other_scales(graph, operator, tensor, rng):
    count, zeros = rng.integers(4, size=2)
    tensor.quantization = schema.QuantizationParametersT(
        scale=rng.choice(np.float32([0, 1, -1, np.nan, 0.1]), count),
        zeroPoint=rng.choice(np.int64([0, 5, 2**40]), zeros),
        quantizedDimension=int(rng.integers(-1, 5)),
    )


def other_buffer(graph, operator, tensor, rng):
    tensor.buffer = int(rng.integers(len(graph.model.buffers) + 1))


def less_data(graph, operator, tensor, rng):
    buffer = graph.model.buffers[rng.integers(1, len(graph.model.buffers))]
    buffer.data = buffer.data[: rng.integers(len(buffer.data))]


def other_code(graph, operator, tensor, rng):
    code = graph.model.operatorCodes[operator.opcodeIndex]
    number = int(
        rng.choice([Op.ADD, Op.CONV_2D, Op.DEQUANTIZE, Op.SOFTMAX, Op.PAD, Op.QUANTIZE, Op.HARD_SWISH, Op.CALL])
    )
    code.builtinCode = code.deprecatedBuiltinCode = number


def other_version(graph, operator, tensor, rng):
    graph.model.operatorCodes[operator.opcodeIndex].version = int(rng.integers(9))


def operator_twice(graph, operator, tensor, rng):
    graph.operators.insert(int(rng.integers(len(graph.operators) + 1)), copy.copy(operator))


def another_output(graph, operator, tensor, rng):
    graph.subgraph.outputs = [*graph.subgraph.outputs, int(rng.integers(len(graph.subgraph.tensors)))]


def sparse(graph, operator, tensor, rng):
    dense = schema.DimensionMetadataT(format=0, denseSize=int(rng.integers(4)))
    tensor.sparsity = schema.SparsityParametersT(traversalOrder=[0], blockMap=[], dimMetadata=[dense])


CHANGES = (
    other_input,
    other_output,
    fewer_inputs,
    other_options,
    other_option,
    other_type,
    other_size,
    other_rank,
    other_scales,
    other_buffer,
    less_data,
    other_code,
    other_version,
    operator_twice,
    another_output,
    sparse,
)


def changed(content, seed):
    rng = np.random.default_rng(seed)
    graph = Graph(content)
    operator, tensor = (items[rng.integers(len(items))] for items in (graph.operators, graph.subgraph.tensors))
    CHANGES[seed % len(CHANGES)](graph, operator, tensor, rng)
    return graph.to_bytes()


@pytest.fixture
def outcome(depthwise, tmp_path):
    """Function (seed) -> whether the changed file was rewritten or copied; else nothing was written."""
    bases = depthwise(8, stride=2, padding="pad"), depthwise(7, float16=True)
    source, target = tmp_path / "a.tflite", tmp_path / "b.tflite"

    def outcome(seed):
        source.write_bytes(changed(bases[seed // len(CHANGES) % 2], seed))
        try:
            result = optimize_file(source, target)
        except TFLiteFileError as error:
            assert len(str(error).splitlines()) == 1 and os.listdir(tmp_path) == ["a.tflite"]
            return False
        assert target.read_bytes() == result.content and result.relative_error <= 1e-5
        target.unlink()
        return True

    return outcome


def test_changed_statements(outcome):
    assert 0 < [outcome(seed) for seed in range(FAST)].count(True) < FAST


@pytest.mark.slow
def test_many_changed_statements(outcome):
    accepted = [outcome(seed) for seed in range(FAST, CASES)].count(True)
    assert CASES // 5 < accepted < CASES - FAST
