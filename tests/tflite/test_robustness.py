"""Files that nobody vouches for: a valid file comes out, or one line says why not; the caller never dies of them."""

import importlib
import os
import subprocess
import types

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from forked import run_forked

from scarlet_tf.tflite import Graph, add_record, choose_forms, optimize, optimize_file, probe, read_record
from scarlet_tf.tflite.forms import variants_of
from scarlet_tf.tflite.graph import Op, Type
from scarlet_tf.tflite.runtime import TFLiteFileError

CASES = 200
FAST = 25


@pytest.fixture(scope="module")
def content(depthwise):
    """PAD, DEQUANTIZE and a 7x7 depthwise convolution, 1.4 kB."""
    return depthwise(7, stride=2, padding="pad", float16=True)


def damaged(content, seed):
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 33))
    kind = ("flip", "truncate", "insert", "remove", "zero")[seed % 5]
    if kind == "flip":
        for position in rng.integers(len(data), size=int(rng.integers(1, 9))):
            data[position] = int(rng.integers(256))
    elif kind == "truncate":
        del data[at:]
    elif kind == "insert":
        data[at:at] = rng.bytes(length)
    elif kind == "remove":
        del data[at : at + length]
    else:
        data[at : at + length] = bytes(len(data[at : at + length]))
    return bytes(data)


def accepted(content, folder):
    """Whether a file came out, which then runs; else it was refused in one line and nothing was written."""
    source, target = folder / "in.tflite", folder / "out.tflite"
    source.write_bytes(content)
    try:
        optimize_file(source, target)
    except TFLiteFileError as error:
        assert str(error).startswith(str(source)) and len(str(error).splitlines()) == 1
        assert os.listdir(folder) == ["in.tflite"]
        return False
    probe(target.read_bytes(), label="rewritten")
    target.unlink()
    return True


def test_damaged_files(content, tmp_path):
    results = [accepted(damaged(content, seed), tmp_path) for seed in range(FAST)]
    assert 0 < results.count(False) < FAST


@pytest.mark.slow
def test_many_damaged_files(content, tmp_path, monkeypatch):
    """With probes that are forks, as the start of Python would take most of the time."""
    probing = importlib.import_module("scarlet_tf.tflite.first_look")
    forking = types.SimpleNamespace(run=run_forked, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(probing, "subprocess", forking)
    results = [accepted(damaged(content, seed), tmp_path) for seed in range(FAST, CASES)]
    assert CASES // 2 < results.count(False) < CASES - FAST


def changed(content, change):
    graph = Graph(content)
    change(graph)
    return graph.to_bytes()


def without_shape(name):
    def change(graph):
        for tensor in graph.subgraph.tensors:
            if tensor.name == name:
                tensor.shape = None

    return change


@pytest.mark.parametrize("name", [b"padded", b"result", b"loaded"])
def test_tensors_whose_size_the_file_leaves_open(name, content):
    """The interpreter works it out; a pass that needs it leaves the operator alone."""
    other = changed(content, without_shape(name))
    result = optimize(other, label="a")
    assert result.relative_error <= 1e-5 and (result.content == other) == (not result.choices)
    assert name == b"loaded" or not result.choices


def drop_options(graph):
    for operator in graph.operators:
        operator.builtinOptions, operator.builtinOptionsType = None, 0


def swap_options(graph):
    operator = graph.operators[-1]
    operator.builtinOptions, operator.builtinOptionsType = schema.AddOptionsT(), schema.BuiltinOptions.AddOptions


def second_subgraph(graph):
    graph.model.subgraphs.append(graph.subgraph)


def open_sides(graph):
    graph.tensor(graph.subgraph.inputs[0]).shapeSignature = np.int32([-1, -1, -1, 3])


def huge_input(graph):
    graph.tensor(graph.subgraph.inputs[0]).shape = np.int32([1, 1 << 15, 1 << 15, 3])


def impossible_input(graph):
    graph.tensor(graph.subgraph.inputs[0]).shape = np.int32([2**31 - 1] * 4)


def negative_input(graph):
    graph.tensor(graph.subgraph.inputs[0]).shape = np.int32([1, -7, 8, 3])


def custom_operator(graph):
    code = schema.OperatorCodeT(builtinCode=Op.CUSTOM, deprecatedBuiltinCode=Op.CUSTOM, customCode=b"Mine\nand yours")
    graph.model.operatorCodes[graph.operators[-1].opcodeIndex] = code


def stray_metadata(graph):
    graph.model.metadata = [schema.MetadataT(name=b"a", buffer=999)]


def stray_signature(graph):
    entry = schema.TensorMapT(name=b"a", tensorIndex=999)
    graph.model.signatureDefs = [schema.SignatureDefT(inputs=[entry], outputs=[], signatureKey=b"s")]


def full_buffer_0(graph):
    graph.model.buffers[0].data = np.zeros(16, np.uint8)


def no_outputs(graph):
    graph.subgraph.outputs = []


def two_scales(graph):
    graph.tensor(graph.subgraph.inputs[0]).quantization = schema.QuantizationParametersT(
        scale=np.float32([1, 2]), zeroPoint=np.int64([0])
    )


def axis_out_of_range(graph):
    graph.tensor(graph.operators[-1].inputs[1]).quantization = schema.QuantizationParametersT(
        scale=np.float32([1, 2]), zeroPoint=np.int64([0, 0]), quantizedDimension=9
    )


REFUSED = {
    drop_options: "",
    swap_options: "",
    second_subgraph: "expected one subgraph, got 2",
    open_sides: "has unknown sizes besides the batch, (-1, -1, -1, 3): convert it with fixed ones",
    huge_input: "",
    impossible_input: "",
    negative_input: "",
    custom_operator: "",
    stray_metadata: "its metadata points to buffer 999 of",
    stray_signature: "999",
    full_buffer_0: "",
    no_outputs: "it has no output, or an empty one",
    two_scales: "",
    axis_out_of_range: "",
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_refused(change, content, tmp_path):
    source = tmp_path / "a.tflite"
    source.write_bytes(changed(content, change))
    with pytest.raises(TFLiteFileError) as caught:
        optimize_file(source, tmp_path / "b.tflite")
    message = str(caught.value)
    assert message.startswith(f"{source}: the model cannot be r") and REFUSED[change] in message
    assert len(message.splitlines()) == 1 and os.listdir(tmp_path) == ["a.tflite"]


def test_int8_tensors_without_scales_are_left_alone(new_graph):
    """The interpreter may run such operators, but they say nothing of the real values."""
    for code in (Op.HARD_SWISH, Op.SOFTMAX, Op.CONV_2D, Op.DEPTHWISE_CONV_2D, Op.DEQUANTIZE, Op.QUANTIZE):
        graph = new_graph()
        x, y = (graph.add_tensor(Type.INT8, (), name) for name in "xy")
        weights = [graph.add_constant(np.zeros((1, 7, 7, 3), np.int8), "weights")] if "CONV" in NAMES[code] else []
        graph.operators.append(graph.new_operator(code, [x, *weights], [y]))
        content = graph.between([x], [y])
        assert variants_of(Graph(content), Graph(content).operators[0]) == {}
        assert choose_forms(content) == (content, ())


NAMES = {value: name for name, value in vars(Op).items() if isinstance(value, int)}

TOOL_ERRORS = [
    (["in.tflite"], "expected in.tflite out.tflite, got in.tflite"),
    ([], "expected in.tflite out.tflite, got nothing"),
    (["in.tflite", "b.tflite", "c"], "got in.tflite b.tflite c"),
    (["in.tflite", "folder"], "folder is a folder"),
    (["folder", "b.tflite"], "no such file: folder"),
    (["missing.tflite", "b.tflite"], "no such file: missing.tflite"),
    (["in.tflite", "text/b.tflite"], "text is not a folder"),
    (["empty", "b.tflite"], "empty: the model cannot be run: the file is empty"),
    (["text", "b.tflite"], "text: the model cannot be run: the file is not a .tflite file"),
    (["--max_error=-1", "in.tflite", "b.tflite"], "max_error"),
    (["--max_growth=0.9", "in.tflite", "b.tflite"], "max_growth must be a multiple of the plain file's size"),
    (["--optimize_for=arm", "in.tflite", "b.tflite"], "optimize_for"),
    (["--optimize_for=android", "in.tflite", "b.tflite"], "no costs measured on an Android device"),
    (["--max_error=0", "in.tflite", "b.tflite"], "of the largest output, above the limit 0"),
]


@pytest.mark.parametrize(("arguments", "message"), TOOL_ERRORS)
def test_tool_refuses_in_one_line(arguments, message, content, tmp_path, call_tool):
    (tmp_path / "in.tflite").write_bytes(content)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("not a model\n" * 100)
    (tmp_path / "folder").mkdir()
    result = call_tool("optimize_tflite", *arguments, cwd=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("optimize_tflite.py: ") and message in line
    assert sorted(os.listdir(tmp_path)) == ["empty", "folder", "in.tflite", "text"]
    assert os.listdir(tmp_path / "folder") == [] and (tmp_path / "in.tflite").read_bytes() == content


def test_a_file_may_be_rewritten_in_place(content, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(content)
    first = optimize_file(path, path)
    assert path.read_bytes() == first.content != content and os.listdir(tmp_path) == ["a.tflite"]
    assert optimize_file(path, path).content == first.content  # nothing is left to do


def test_the_record_says_what_the_file_was_rewritten_for(content, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(add_record(content, {"model": "a", "optimize_for": "none"}))
    optimize_file(path, tmp_path / "b.tflite")
    expected = {"model": "a", "optimize_for": "xnnpack"}
    assert read_record(tmp_path / "b.tflite") == read_record((tmp_path / "b.tflite").read_bytes()) == expected
    assert read_record(str(path)) == expected | {"optimize_for": "none"}
    path.write_bytes(content)
    optimize_file(path, tmp_path / "c.tflite")
    assert read_record(tmp_path / "c.tflite") is None


def test_records_that_cannot_be_read(content, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(add_record(content, ["a list"]))
    for use in (read_record, lambda path: optimize_file(path, tmp_path / "b.tflite")):
        with pytest.raises(TFLiteFileError, match=r"a\.tflite: its record must be a JSON object, got list"):
            use(path)
    with pytest.raises(FileNotFoundError, match=r"no such file: .*absent\.tflite"):
        read_record(tmp_path / "absent.tflite")
    path.write_bytes(content[:500])
    with pytest.raises(TFLiteFileError, match=r"a\.tflite: the model cannot.*truncated or damaged \(500 bytes\)"):
        read_record(path)
    assert os.listdir(tmp_path) == ["a.tflite"]


def test_batch_that_the_converter_left_open(tmp_path, run):
    import tensorflow as tf

    module = tf.Module()
    module.f = tf.function(lambda x: tf.nn.relu6(x), input_signature=[tf.TensorSpec((None, 4))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module)
    (tmp_path / "a.tflite").write_bytes(converter.convert())
    result = optimize_file(tmp_path / "a.tflite", tmp_path / "b.tflite")
    assert result.before.inputs[0].shape == (1, 4) and result.relative_error == 0.0
    assert (tmp_path / "b.tflite").read_bytes() == (tmp_path / "a.tflite").read_bytes()


def test_tool(content, tmp_path, call_tool):
    (tmp_path / "in.tflite").write_bytes(content)
    result = call_tool("optimize_tflite", "in.tflite", "out.tflite", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    choice, last = result.stdout.splitlines()
    assert choice.startswith("depthwise 7x7 7x8x3 stride 2: three parts; cortex-a72 about 0.")
    assert last.startswith("in.tflite -> out.tflite: 3 -> 11 operations, 1 -> 1 partitions, ")
    assert probe((tmp_path / "out.tflite").read_bytes(), label="out").operations["DEPTHWISE_CONV_2D"] == 3
