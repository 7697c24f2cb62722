"""The benchmark, the rewriter and the profile with files of other converters: these run, or one line says why not."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.latency import find_failures, measure_host
from scarlet_tf.tflite import Graph, TFLiteFileError, first_run, optimize_file, probe
from scarlet_tf.tflite.graph import Op, Type
from scarlet_tf.tflite.profile import profile_operators


def one_operator(new_graph, code, inputs, output, *, options=None, constants=()):
    """A file of one operator: inputs and output are (type, shape[, signature]); constants follow the inputs."""
    graph = new_graph()
    sources = [_tensor(graph, f"in{n}", *tensor) for n, tensor in enumerate(inputs)]
    constants = [graph.add_constant(np.asarray(values), f"c{n}") for n, values in enumerate(constants)]
    result = _tensor(graph, "out", *output)
    graph.operators.append(graph.new_operator(code, [*sources, *constants], [result], options=options))
    return graph.between(sources, [result])


def _tensor(graph, name, kind, shape, signature=None):
    index = graph.add_tensor(kind, shape, name)
    if kind in (Type.INT8, Type.UINT8):
        graph.tensor(index).quantization = schema.QuantizationParametersT(
            scale=np.float32([0.5]), zeroPoint=np.int64([3])
        )
    if signature is not None:
        graph.tensor(index).shapeSignature = np.int32(signature)
    return index


FLOAT, TABLE = Type.FLOAT32, np.arange(12, dtype=np.float32).reshape(6, 2)
ADD, GATHER = schema.AddOptionsT(), schema.GatherOptionsT(axis=0)


def gather(new_graph, kind):
    graph = new_graph()
    table, ids = graph.add_constant(TABLE, "table"), graph.add_tensor(kind, (1, 3), "ids")
    result = graph.add_tensor(FLOAT, (1, 3, 2), "rows")
    graph.operators.append(graph.new_operator(Op.GATHER, [table, ids], [result], options=schema.GatherOptionsT()))
    return graph.between([ids], [result])


def cast(new_graph, kind, to=FLOAT):
    return one_operator(new_graph, Op.CAST, [(kind, (1, 4))], (to, (1, 4)), options=schema.CastOptionsT())


def branches(new_graph):
    """IF, with a subgraph for each side: x + x, or x * x."""
    graph = new_graph()
    flag, x, y = (
        graph.add_tensor(k, s, n) for k, s, n in [(Type.BOOL, (1,), "flag"), (FLOAT, (1, 4), "x"), (FLOAT, (1, 4), "y")]
    )
    options = schema.IfOptionsT(thenSubgraphIndex=1, elseSubgraphIndex=2)
    graph.operators.append(graph.new_operator(Op.IF, [flag, x], [y], options=options))
    for code, options in ((Op.ADD, schema.AddOptionsT()), (Op.MUL, schema.MulOptionsT())):
        operator = graph.new_operator(code, [0, 0], [1], options=options)
        tensors = [schema.TensorT(shape=np.int32([1, 4]), type=FLOAT, buffer=0, name=name) for name in (b"a", b"b")]
        graph.model.subgraphs.append(schema.SubGraphT(tensors=tensors, inputs=[0], outputs=[1], operators=[operator]))
    return graph.between([flag, x], [y])


def two_outputs(new_graph):
    graph = Graph(one_operator(new_graph, Op.ADD, [(FLOAT, (1, 4))] * 2, (FLOAT, (1, 4)), options=ADD))
    more = graph.add_tensor(FLOAT, (1, 4), "more")
    graph.operators.append(graph.new_operator(Op.RELU, [graph.subgraph.outputs[0]], [more]))
    graph.subgraph.outputs.append(more)
    return graph.to_bytes()


def open_batch(new_graph, rest=(4,)):
    shape, signature = (1, *(abs(n) for n in rest)), (-1, *rest)
    return one_operator(new_graph, Op.RELU, [(FLOAT, shape, signature)], (FLOAT, shape, signature))


RUNS = {
    "open_batch": open_batch,
    "open_batch_stated_as_7": lambda g: one_operator(g, Op.RELU, [(FLOAT, (7, 4), (-1, 4))], (FLOAT, (7, 4), (-1, 4))),
    "two_inputs": lambda g: one_operator(g, Op.ADD, [(FLOAT, (1, 4))] * 2, (FLOAT, (1, 4)), options=ADD),
    "int8": lambda g: one_operator(g, Op.DEQUANTIZE, [(Type.INT8, (1, 4))], (FLOAT, (1, 4))),
    "uint8": lambda g: one_operator(g, Op.DEQUANTIZE, [(Type.UINT8, (1, 4))], (FLOAT, (1, 4))),
    "int32_indices": lambda g: gather(g, Type.INT32),
    "int64_indices": lambda g: gather(g, Type.INT64),
    "truth_values": lambda g: cast(g, Type.BOOL),
    "two_outputs": two_outputs,
    "branches": branches,
}


def text_input(new_graph):
    return one_operator(new_graph, Op.SHAPE, [(Type.STRING, (1,))], (Type.INT32, (1,)), options=schema.ShapeOptionsT())


def custom(new_graph, name=b"Mine"):
    graph = Graph(open_batch(new_graph))
    code = schema.OperatorCodeT(builtinCode=Op.CUSTOM, deprecatedBuiltinCode=Op.CUSTOM, customCode=name)
    graph.model.operatorCodes[0] = code
    return graph.to_bytes()


OUTSIDE = [np.int32([99])]
FAILS = {
    "open_sides": (lambda g: open_batch(g, (-1, -1, 3)), "'in0' has unknown sizes besides the batch, (-1, -1, -1, 3)"),
    "text": (text_input, "input 'in0' has the type text, expected numbers"),
    "custom": (custom, "operator 0, Mine, failed to prepare: "),
    "flex": (lambda g: custom(g, b"FlexErf"), "operator 0, FlexErf, failed to prepare: "),
    "shapes": (
        lambda g: one_operator(g, Op.ADD, [(FLOAT, (1, 4)), (FLOAT, (1, 3))], (FLOAT, (1, 4)), options=ADD),
        "operator 0, ADD, failed to prepare: ",
    ),
    "index": (
        lambda g: one_operator(g, Op.GATHER, [(FLOAT, (6, 2))], (FLOAT, (1, 2)), options=GATHER, constants=OUTSIDE),
        "operator 0, GATHER, failed to run: ",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(new_graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, make in [*RUNS.items(), *((name, make) for name, (make, _) in FAILS.items())]:
        (folder / f"{name}.tflite").write_bytes(make(new_graph))
    return folder


def test_files_that_run_are_measured(folder):
    paths = [folder / f"{name}.tflite" for name in RUNS]
    assert find_failures(paths) == {}
    assert [latency.path for latency in measure_host(paths, runs=2, warmup=0)] == list(map(str, paths))


def test_batches_are_one_and_indices_lie_in_their_tables(folder):
    def look(name):
        run = first_run((folder / f"{name}.tflite").read_bytes(), label=name)
        return run.inputs, run.outputs

    for name in ("open_batch", "open_batch_stated_as_7"):
        (image,), (output,) = look(name)
        assert image.shape == (1, 4) and np.array_equal(output, np.maximum(image, 0))
    (ids,), (rows,) = look("int64_indices")
    assert ids.dtype == np.int64 and np.array_equal(rows, TABLE[ids])
    (flag, x), (y,) = look("branches")
    assert np.array_equal(y, x + x if flag[0] else x * x)


@pytest.mark.parametrize("name", FAILS)
def test_files_that_fail_say_why(name, folder):
    path = folder / f"{name}.tflite"
    found = find_failures([path])[str(path)]
    assert found.startswith(f"{path}: the model cannot be run: ") and FAILS[name][1] in found and "\n" not in found
    with pytest.raises(TFLiteFileError):
        measure_host([path], runs=1, warmup=0)


def said(done):
    """The tool's own lines on standard error, where LiteRT may have said that it made a delegate."""
    return [line for line in done.stderr.splitlines() if line.startswith("benchmark_host.py: ")]


def test_the_tool_measures_the_others(folder, tmp_path, call_tool):
    names = ["index", "open_batch", "custom", "two_inputs"]
    models = ",".join(str(folder / f"{name}.tflite") for name in names)
    done = call_tool("benchmark_host", f"--models={models}", "--runs=2", "--output=l.json", cwd=tmp_path)
    assert done.returncode == 2
    lines = said(done)
    assert [line.split(": ")[1] for line in lines] == [str(folder / f"{name}.tflite") for name in ("index", "custom")]
    assert "operator 0, GATHER, failed to run" in lines[0]
    assert done.stdout.count("open_batch.tflite") == done.stdout.count("two_inputs.tflite") == 1
    rows = {row["path"].split("/")[-1]: row for row in json.loads((tmp_path / "l.json").read_text())}
    assert rows["open_batch.tflite"]["ratio"] == 1.0 and "error" not in rows["two_inputs.tflite"]
    assert set(rows["index.tflite"]) == {"path", "error"} and "GATHER" in rows["index.tflite"]["error"]


def test_a_file_that_cannot_be_cut_is_measured_all_the_same(folder, tmp_path, call_tool):
    models = f"{folder / 'branches.tflite'},{folder / 'open_batch.tflite'}"
    flags = ["--runs=2", "--op_profile", "--output=l.json"]
    done = call_tool("benchmark_host", f"--models={models}", *flags, cwd=tmp_path)
    assert done.returncode == 2 and len(said(done)) == 1
    assert "branches.tflite: the model cannot be rewritten or cut: expected one subgraph, got 3" in done.stderr
    branched, plain = json.loads((tmp_path / "l.json").read_text())
    assert branched["median_ms"] > 0 and branched["op_profile"] is None and "one subgraph" in branched["error"]
    assert plain["op_profile"]["operators"][0]["kind"] == "RELU" and done.stdout.count("operators one by one") == 1


def test_all_files_fail(folder, tmp_path, call_tool):
    models = f"{folder / 'text.tflite'},{folder / 'custom.tflite'}"
    done = call_tool("benchmark_host", f"--models={models}", "--output=l.json", cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 2)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_refused_before_any_is_measured(folder, tmp_path, call_tool):
    models = f"{folder / 'open_batch.tflite'},absent.tflite"
    done = call_tool("benchmark_host", f"--models={models}", "--runs=100000", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.endswith(": no such file: absent.tflite\n")


def test_a_file_that_kills_the_interpreter(monkeypatch, tmp_path):
    """Its death is told from the process's; which files do it changes with the interpreter."""
    program = tmp_path / "dies.py"
    program.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr("scarlet_tf.tflite.first_look._PROGRAM", program)
    (tmp_path / "a.tflite").write_bytes(bytes(4) + b"TFL3")
    found = find_failures([tmp_path / "a.tflite"])
    assert found[str(tmp_path / "a.tflite")].endswith(": the interpreter crashed (SIGSEGV)")


@pytest.mark.parametrize("stated", [1, 5])
def test_an_open_batch_is_rewritten_and_kept_open(stated, depthwise, run, relative_difference, tmp_path):
    graph = Graph(depthwise(7, stride=2, padding="pad"))
    for index, tensor in enumerate(graph.subgraph.tensors):
        if len(graph.shape(index)) == 4 and not graph.is_constant(index):
            tensor.shape = np.int32([stated, *tensor.shape[1:]])
            tensor.shapeSignature = np.int32([-1, *tensor.shape[1:]])
    (tmp_path / "a.tflite").write_bytes(graph.to_bytes())
    result = optimize_file(tmp_path / "a.tflite", tmp_path / "b.tflite")
    assert [choice.form[-5:] for choice in result.choices] == ["parts"] and result.before.inputs[0].shape[0] == 1
    fast = Graph((tmp_path / "b.tflite").read_bytes())
    assert list(fast.tensor(fast.subgraph.inputs[0]).shapeSignature) == [-1, 7, 8, 3]
    images = np.random.default_rng(0).standard_normal((3, 7, 8, 3)).astype(np.float32)
    before, after = (batched(tmp_path / name, images) for name in ("a.tflite", "b.tflite"))
    assert before.shape[0] == 3
    # 49 products are summed in another order: at most 49 roundings of float32 of the sum of magnitudes
    assert relative_difference([before], [after]) <= 49 * np.finfo(np.float32).eps


def batched(path, images):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("name", ["two_inputs", "int8", "int64_indices", "open_batch_stated_as_7", "two_outputs"])
def test_operators_are_timed_on_what_they_get(name, folder):
    profile = profile_operators((folder / f"{name}.tflite").read_bytes(), label=name, runs=1, warmup=0)
    assert len(profile.operators) == (2 if name == "two_outputs" else 1)


@pytest.mark.parametrize(
    ("name", "naming"),
    [
        ("branches", "the model cannot be rewritten or cut: expected one subgraph, got 3"),
        ("text", "has the type text, expected numbers"),
        ("custom", "operator 0, Mine"),
        ("open_sides", "unknown sizes besides the batch"),
    ],
)
def test_files_that_are_not_rewritten(name, naming, folder, tmp_path, call_tool):
    done = call_tool("optimize_tflite", folder / f"{name}.tflite", "o.tflite", cwd=tmp_path)
    assert done.returncode == 2 and naming in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_complex_outputs_are_measured_and_not_rewritten(new_graph, tmp_path):
    content = cast(new_graph, FLOAT, Type.COMPLEX64)
    assert first_run(content, label="a").outputs[0].dtype == np.complex64
    with pytest.raises(
        TFLiteFileError,
        match="a: the model cannot be rewritten or cut: expected outputs of real numbers, got complex64",
    ):
        probe(content, label="a")


def test_needs_no_tensorflow():
    code = "import sys, scarlet_tf.tflite.first_look; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
