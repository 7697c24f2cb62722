"""Passes and forms that touch int8 graphs: how far they move results, and that XNNPACK takes the whole."""

import collections
import copy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from rounding import rounding_limit

from scarlet_tf.tflite import Graph, add_record, optimize, optimize_file, probe, read_record, run_passes
from scarlet_tf.tflite.choose import rewrite_operators
from scarlet_tf.tflite.costs import FormCosts
from scarlet_tf.tflite.costs.measure import form_files
from scarlet_tf.tflite.forms import PLAIN, variants_of
from scarlet_tf.tflite.forms.signature import signature_of
from scarlet_tf.tflite.graph import Op, Type
from scarlet_tf.tflite.passes.final_softmax import float_final_softmax
from scarlet_tf.tflite.passes.hard_swish import spell_hard_swish
from scarlet_tf.tflite.passes.split_depthwise import split_depthwise

EVERY_INT8 = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)


def lsb(content):
    """Output values per step of its scale."""
    graph = Graph(content)
    scale, _, _ = graph.quantization(graph.producer(graph.subgraph.outputs[0]).inputs[0])
    return float(scale[0])


@pytest.mark.slow
def test_int8_network(converted, run):
    """Steps of the output's scale by which results move, and pieces that XNNPACK runs."""
    content = converted("int8")
    result = optimize(content, label="int8")
    assert {choice.signature.kind for choice in result.choices} >= {"DEPTHWISE_CONV_2D", "HARD_SWISH"}
    assert str(result.reports[0]) == "float_final_softmax: 1, SOFTMAX behind the last DEQUANTIZE"
    assert result.before.partitions > 1 and result.after.partitions == 1 and result.rounds_anew
    images = np.random.default_rng(7).standard_normal((8, 1, 12, 12, 3)).astype(np.float32)
    before, after = (np.concatenate([run(c, image)[0] for image in images]) for c in (content, result.content))
    steps = np.abs(before - after) / lsb(content)
    assert np.ptp(before) / lsb(content) > 100
    assert steps.max() <= 8 and steps.mean() <= 1.5
    real = np.concatenate([run(converted("float"), image)[0] for image in images])
    assert np.abs(after - real).mean() < lsb(content) and np.abs(before - real).mean() < lsb(content)


@pytest.mark.slow
def test_dynamic_range_network(converted, relative_difference):
    content = converted("dynamic")
    result = optimize(content, label="dynamic")
    assert {choice.form for choice in result.choices} == {"float weights, five parts"}
    assert sum(choice.changes for choice in result.choices) == 2
    assert result.before.partitions > 1 and result.after.partitions == 1
    assert result.relative_error <= 0.05


@pytest.fixture(scope="module")
def activation(new_graph):
    """Function (code, scales and zero points, ...) -> int8 file with one activation of (1, 256) values."""

    def make(code, *, source=(0.05, -3), result=(0.04, -100)):
        graph = new_graph()
        x, y = graph.quantized((1, 256), "x", *source), graph.quantized((1, 256), "y", *result)
        options = {Op.SOFTMAX: schema.SoftmaxOptionsT(beta=1.0), Op.HARD_SWISH: schema.HardSwishOptionsT()}.get(code)
        graph.operators.append(graph.new_operator(code, [x], [y], options=options))
        return graph.between([x], [y])

    return make


@pytest.mark.parametrize(("source", "result"), [((0.0517, -3), (0.0383, -100)), ((0.031, 17), (0.0237, -112))])
def test_hard_swish_becomes_the_ideal_table(source, result, activation, run, kinds):
    content = activation(Op.HARD_SWISH, source=source, result=result)
    rewritten = form_files(content)["float"]
    assert kinds(rewritten) == ["DEQUANTIZE", "HARD_SWISH", "QUANTIZE"]
    assert probe(rewritten, label="table").partitions == 1
    x = np.float32(source[0]) * (EVERY_INT8.astype(np.float64) - source[1])
    ideal = x * np.clip(x + 3, 0, 6) / 6 / np.float32(result[0])
    expected = np.clip(np.round(ideal) + result[1], -128, 127)
    assert np.ptp(expected) > 100
    (got,) = run(rewritten, EVERY_INT8)
    # No ties, which float32 may break either way after a sum, three products and a division.
    assert np.abs(ideal - np.floor(ideal) - 0.5).min() > rounding_limit(5) * np.abs(ideal).max()
    np.testing.assert_array_equal(got, expected)


def test_softmax_goes_through_float(activation, run, kinds):
    content = activation(Op.SOFTMAX, result=(1 / 256, -128))
    rewritten = form_files(content)["float"]
    assert kinds(rewritten) == ["DEQUANTIZE", "SOFTMAX", "QUANTIZE"]
    (before,), (after,) = run(content, EVERY_INT8), run(rewritten, EVERY_INT8)
    assert np.abs(before.astype(int) - after).max() <= 1 and before.max() > -128


@pytest.fixture(scope="module")
def softmax_end(new_graph):
    """Function (also) -> int8 SOFTMAX of (1, 256) values, DEQUANTIZE; `also`: another operator reads the int8 ones."""

    def make(also=False):
        graph = new_graph()
        x, y = graph.quantized((1, 256), "x", 0.05, -3), graph.quantized((1, 256), "y", 1 / 256, -128)
        z, w = graph.add_tensor(Type.FLOAT32, (1, 256), "z"), graph.quantized((1, 256), "w", 1 / 256, -128)
        options = schema.SoftmaxOptionsT(beta=0.5)
        graph.operators.append(graph.new_operator(Op.SOFTMAX, [x], [y], options=options))
        graph.operators.append(graph.new_operator(Op.DEQUANTIZE, [y], [z], version=2))
        if also:
            graph.operators.append(graph.new_operator(Op.RELU, [y], [w]))
        return graph.between([x], [z, w] if also else [z])

    return make


def test_softmax_at_the_end_is_exact_and_delegated(softmax_end, run, kinds):
    content = softmax_end()
    rewritten, (report,) = run_passes(content, [float_final_softmax])
    assert report.changes == 1 and kinds(rewritten) == ["DEQUANTIZE", "SOFTMAX"]
    assert (probe(content, label="before").partitions, probe(rewritten, label="after").partitions) == (1, 1)
    powers = np.exp(0.5 * np.float32(0.05) * (EVERY_INT8.astype(np.float64) + 3))
    (got,) = run(rewritten, EVERY_INT8)
    np.testing.assert_allclose(got, powers / powers.sum(), rtol=2 * rounding_limit(256))
    assert np.abs(run(content, EVERY_INT8)[0] - got).max() > 1e-3


def test_softmax_that_others_read_in_int8_stays(softmax_end):
    content = softmax_end(also=True)
    rewritten, (report,) = run_passes(content, [float_final_softmax])
    assert rewritten == content and report.changes == 0


@pytest.fixture(scope="module")
def large_depthwise(new_graph):
    """Function (padded) -> int8 7x7 depthwise convolution, per-channel weights, perhaps behind a PAD."""

    def make(padded, *, kernel=7):
        rng = np.random.default_rng(0)
        graph = new_graph()
        x = source = graph.quantized((1, 9, 9, 4), "x", 0.04, 5)
        shape = (1, 9, 9, 4)
        if padded:
            amounts = graph.add_constant(np.int32([[0, 0], [3, 3], [3, 3], [0, 0]]), "amounts")
            x = graph.quantized((1, 15, 15, 4), "padded", 0.04, 5)
            graph.operators.append(graph.new_operator(Op.PAD, [source, amounts], [x], options=schema.PadOptionsT()))
            shape = (1, 5, 5, 4)
        weights = graph.add_constant(rng.integers(-127, 128, (1, kernel, kernel, 4), np.int8), "weights")
        scales = np.float32([0.002, 0.003, 0.004, 0.005])
        graph.tensor(weights).quantization = schema.QuantizationParametersT(
            scale=scales, zeroPoint=np.zeros(4, np.int64), quantizedDimension=3
        )
        bias = graph.add_constant(rng.integers(-2000, 2000, 4, np.int32), "bias")
        graph.tensor(bias).quantization = schema.QuantizationParametersT(
            scale=scales * np.float32(0.04), zeroPoint=np.zeros(4, np.int64)
        )
        y = graph.quantized(shape, "y", 0.15, -7)
        options = schema.DepthwiseConv2DOptionsT(
            padding=schema.Padding.VALID if padded else schema.Padding.SAME,
            strideH=2 if padded else 1,
            strideW=2 if padded else 1,
            depthMultiplier=1,
            dilationHFactor=1,
            dilationWFactor=1,
        )
        graph.operators.append(graph.new_operator(Op.DEPTHWISE_CONV_2D, [x, weights, bias], [y], options=options))
        return graph.between([source], [y])

    return make


@pytest.mark.parametrize("padded", [False, True])
def test_large_depthwise_in_an_island(padded, large_depthwise, run, kinds):
    content = large_depthwise(padded)
    rewritten = form_files(content)["float, five parts"]
    parts = {"DEQUANTIZE": 1, "DEPTHWISE_CONV_2D": 5, "ADD": 4, "QUANTIZE": 1}
    assert collections.Counter(kinds(rewritten)) == parts | ({"PAD": 5} if padded else {})
    assert probe(rewritten, label="island").partitions == 1
    x = np.random.default_rng(1).integers(-128, 128, (1, 9, 9, 4), np.int8)
    (before,), (after,) = run(content, x), run(rewritten, x)
    assert np.ptp(before.astype(int)) > 100 and np.abs(before.astype(int) - after).max() <= 1


def twice(content, *, change):
    """A file with a second convolution of the same image, which `change`, called with graph and operator, makes."""
    graph = Graph(content)
    (first,) = graph.of_kind(Op.DEPTHWISE_CONV_2D)
    result = first.outputs[0]
    quantization = copy.deepcopy(graph.tensor(result).quantization)
    second = copy.copy(first)
    second.inputs, second.outputs = (
        list(first.inputs),
        [graph.add_tensor(Type.INT8, graph.shape(result), "second", quantization=quantization)],
    )
    change(graph, second)
    graph.operators.append(second)
    graph.subgraph.outputs = [result, *second.outputs]
    return graph.to_bytes()


def test_a_pad_that_two_large_convolutions_read(large_depthwise, run):
    """It stays outside their islands, so that these cannot be in parts."""
    content = twice(large_depthwise(True), change=lambda graph, operator: None)
    graph = Graph(content)
    x = np.random.default_rng(1).integers(-128, 128, (1, 9, 9, 4), np.int8)
    expected = run(content, x)
    convolutions = graph.of_kind(Op.DEPTHWISE_CONV_2D)
    for operator in convolutions:
        variants = variants_of(graph, operator)
        assert "float" in variants and "float, five parts" not in variants
        variants["float"].apply(graph, operator)
    for before, after in zip(expected, run(graph.to_bytes(), x), strict=True):
        assert np.abs(before.astype(int) - after).max() <= 1


def test_the_same_operator_with_one_scale_has_other_forms(large_depthwise):
    """Both operators have the same signature, but not the same forms."""

    def with_one_scale(graph, operator):
        for place, scale in ((1, 0.005), (2, 0.005 * 0.04)):
            quantization = schema.QuantizationParametersT(scale=np.float32([scale]), zeroPoint=np.int64([0]))
            values = graph.constant(operator.inputs[place])
            operator.inputs[place] = graph.add_constant(values, f"own{place}", quantization=quantization)

    content = twice(large_depthwise(False), change=with_one_scale)
    graph = Graph(content)
    first, second = (set(variants_of(graph, operator)) for operator in graph.of_kind(Op.DEPTHWISE_CONV_2D))
    only = sorted(first - second)
    assert only
    signature = signature_of(graph, graph.operators[0])
    for form in only:
        costs = {str(signature): {name: 1.0 if name == form else 9.0 for name in (PLAIN, *first)}}
        table = FormCosts(target="host", unit="ms", runtime="r", cpu="c", costs=costs)
        _, choices = rewrite_operators(content, {"host": table})
        assert (form, 1) in [(choice.form, choice.changes) for choice in choices]


def test_an_open_batch_that_only_the_input_states(large_depthwise, run):
    """Other converters leave the results' signatures out."""
    graph = Graph(large_depthwise(False))
    (source,) = graph.subgraph.inputs
    graph.tensor(source).shapeSignature = np.int32([-1, 9, 9, 4])
    assert all(graph.is_open(index) for index in (source, *graph.operators[0].outputs))
    assert not graph.is_open(graph.operators[0].inputs[1])
    result = optimize(graph.to_bytes(), label="a")
    interpreter = Interpreter(model_content=result.content)
    interpreter.resize_tensor_input(0, (2, 9, 9, 4))
    interpreter.allocate_tensors()
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).shape == (2, 9, 9, 4)


def test_bias_without_scale_is_left(large_depthwise):
    """Its real values are not known."""
    graph = Graph(large_depthwise(False))
    graph.tensor(graph.operators[0].inputs[2]).quantization = None
    content = graph.to_bytes()
    result = optimize(content, label="a")
    assert result.content == content and result.choices == () and result.relative_error == 0.0


@pytest.mark.parametrize(("code", "recorded"), [(Op.HARD_SWISH, "int8"), (Op.RELU, "int8_pure")])
def test_the_record_of_a_pure_int8_file_that_was_rewritten(code, recorded, activation, tmp_path):
    record = {"quantize": "int8_pure", "optimize_for": "none"}
    (tmp_path / "a.tflite").write_bytes(add_record(activation(code), record))
    optimize_file(tmp_path / "a.tflite", tmp_path / "b.tflite")
    rewritten = "xnnpack" if code == Op.HARD_SWISH else "none"  # nothing else runs faster in another form
    assert read_record(tmp_path / "b.tflite") == {"quantize": recorded, "optimize_for": rewritten}


def test_small_int8_depthwise_is_left(large_depthwise):
    content = large_depthwise(False, kernel=3)
    assert list(form_files(content)) == [PLAIN]


def test_hard_swish_spelt_out(new_graph, run, kinds):
    graph = new_graph()
    x, y = (graph.add_tensor(Type.FLOAT32, (1, 256), name) for name in "xy")
    graph.operators.append(graph.new_operator(Op.HARD_SWISH, [x], [y], options=schema.HardSwishOptionsT()))
    content = graph.between([x], [y])
    rewritten, (report,) = run_passes(content, [spell_hard_swish])
    assert report.changes == 1 and kinds(rewritten) == ["ADD", "MUL", "MUL"]
    values = np.linspace(-5, 5, 256, dtype=np.float32).reshape(1, 256)
    np.testing.assert_allclose(run(rewritten, values)[0], run(content, values)[0], atol=2 * rounding_limit(3) * 5)


NOTHING = {
    split_depthwise: "no float 7x7 depthwise convolution",
    spell_hard_swish: "no float HARD_SWISH",
    float_final_softmax: "no int8 SOFTMAX before the output's DEQUANTIZE",
}


@pytest.mark.parametrize("apply", NOTHING, ids=lambda apply: apply.__name__)
def test_passes_that_do_not_apply(apply, depthwise):
    content = depthwise(8, kernel=3)
    rewritten, (report,) = run_passes(content, [apply])
    assert rewritten == content
    assert (report.name, report.changes, report.note) == (apply.__name__, 0, NOTHING[apply])
