"""What every rewrite keeps, operators cut out of a file, and whole networks against Keras."""

import dataclasses

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.tflite import Graph, optimize, probe, run_passes
from scarlet_tf.tflite.graph import Op, Type
from scarlet_tf.tflite.passes.hard_swish import spell_hard_swish
from scarlet_tf.tflite.passes.split_depthwise import split_depthwise
from scarlet_tf.tflite.profile import cut_operator


@pytest.fixture(scope="module")
def signed(depthwise):
    """A 7x7 depthwise convolution behind a PAD, with a signature, metadata and things that nobody uses."""
    graph = Graph(depthwise(8, stride=2, padding="pad", float16=True))
    (image,), (result,) = graph.subgraph.inputs, graph.subgraph.outputs
    graph.add_constant(np.ones(1000, np.float32), "unused")
    graph.new_operator(Op.SOFTMAX, [], [])
    graph.model.buffers.append(schema.BufferT(data=np.frombuffer(b"kept as it is", np.uint8)))
    graph.model.metadata = [schema.MetadataT(name=b"note", buffer=len(graph.model.buffers) - 1)]
    graph.model.metadataBuffer = [len(graph.model.buffers) - 1]
    ends = (
        [schema.TensorMapT(name=name, tensorIndex=index)] for name, index in ((b"picture", image), (b"map", result))
    )
    inputs, outputs = ends
    graph.model.signatureDefs = [schema.SignatureDefT(inputs=inputs, outputs=outputs, signatureKey=b"serve")]
    return graph.to_bytes()


@pytest.fixture(scope="module")
def rewritten(signed):
    return run_passes(signed, [split_depthwise])[0]


def test_signature_works_by_name(signed, rewritten):
    image = np.random.default_rng(0).standard_normal((1, 8, 9, 3)).astype(np.float32)
    results = []
    for content in (signed, rewritten):
        interpreter = Interpreter(model_content=content)
        assert interpreter.get_signature_list() == {"serve": {"inputs": ["picture"], "outputs": ["map"]}}
        results.append(interpreter.get_signature_runner("serve")(picture=image)["map"])
    np.testing.assert_allclose(results[1], results[0], atol=1e-5 * np.abs(results[0]).max())


def test_nothing_unused_is_left(signed, rewritten):
    before, after = Graph(signed), Graph(rewritten)
    assert b"unused" in {tensor.name for tensor in before.subgraph.tensors}
    used = {index for o in after.operators for index in (*o.inputs, *o.outputs)}
    assert used == set(range(len(after.subgraph.tensors)))
    buffers = {0, *(t.buffer for t in after.subgraph.tensors), *(m.buffer for m in after.model.metadata)}
    assert buffers == set(range(len(after.model.buffers)))
    codes = {operator.opcodeIndex for operator in after.operators}
    assert codes == set(range(len(after.model.operatorCodes))) and len(codes) == 4
    assert sum(len(b.data) for b in after.model.buffers if b.data is not None) < 49 * 3 * 2 + 2 * 12 + 5 * 32 + 32


def test_metadata_survives(rewritten):
    model = Graph(rewritten).model
    (entry,) = model.metadata
    assert entry.name == b"note" and bytes(model.buffers[entry.buffer].data) == b"kept as it is"
    assert list(model.metadataBuffer) == [entry.buffer] and rewritten[4:8] == b"TFL3"


@pytest.mark.parametrize("values", [np.float32([1, 2, 3]), np.arange(5, dtype=np.int8), np.float16([[1.5]])])
def test_constants_are_aligned(values, rewritten):
    graph = Graph(rewritten)
    graph.subgraph.outputs = [*graph.subgraph.outputs, graph.add_constant(values, "added")]
    content = graph.to_bytes()
    model = schema.Model.GetRootAs(content)
    start = np.frombuffer(content, np.uint8).ctypes.data
    buffers = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength()) if model.Buffers(i).DataLength()]
    assert len(buffers) >= 10 and {(buffer.ctypes.data - start) % 16 for buffer in buffers} == {0}
    np.testing.assert_array_equal(Graph(content).constant(graph.subgraph.outputs[-1]), values)


def test_operators_without_results_stay(new_graph):
    graph = new_graph()
    x, y = (graph.add_tensor(Type.FLOAT32, (1, 4), name) for name in "xy")
    handle = graph.add_tensor(Type.RESOURCE, (), "handle")
    graph.operators.append(graph.new_operator(Op.VAR_HANDLE, [], [handle], options=schema.VarHandleOptionsT()))
    graph.operators.append(
        graph.new_operator(Op.ASSIGN_VARIABLE, [handle, x], [], options=schema.AssignVariableOptionsT())
    )
    graph.operators.append(graph.new_operator(Op.HARD_SWISH, [x], [y], options=schema.HardSwishOptionsT()))
    content = graph.between([x], [y])
    other, _ = run_passes(content, [spell_hard_swish])
    counts = probe(other, label="a").operations
    assert counts == {"VAR_HANDLE": 1, "ASSIGN_VARIABLE": 1, "MUL": 2, "ADD": 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["float", "dynamic", "int8"])
def test_every_operator_alone(name, converted, run):
    content = converted(name)
    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    image = np.random.default_rng(0).standard_normal((1, 12, 12, 3)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    whole = Graph(content)
    index_of = {tensor.name: index for index, tensor in enumerate(whole.subgraph.tensors)}
    assert len(index_of) == len(whole.subgraph.tensors) and len(whole.operators) >= 10
    for position, operator in enumerate(whole.operators):
        part = cut_operator(content, position)
        graph = Graph(part)
        inputs = [interpreter.get_tensor(index_of[graph.tensor(i).name]) for i in graph.subgraph.inputs]
        assert graph.code(graph.operators[-1]) == whole.code(operator)
        (got,) = run(part, *inputs, delegate=False)
        np.testing.assert_array_equal(got, interpreter.get_tensor(operator.outputs[0]))


BLOCK = BlockSpec(kind="inverted_residual", in_channels=8, out_channels=8, kernel_size=7, hidden_channels=16)
SPEC = ArchSpec(
    name="net",
    blocks=(
        dataclasses.replace(BLOCK, se_channels=4, shortcut=True),
        dataclasses.replace(BLOCK, stride=2, se_channels=4),
        BlockSpec(kind="identity", in_channels=8, out_channels=8, stride=2),
        dataclasses.replace(BLOCK, kernel_size=5, shortcut=True),
        dataclasses.replace(BLOCK, stride=2),
    ),
    resolution=32,
    stem_channels=8,
    first_channels=8,
    tail_channels=24,
    classes=7,
)


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 41])
def test_network_against_keras(size, run, relative_difference, float_file):
    from scarlet_tf.models import build

    rng = np.random.default_rng(size)
    model = build(SPEC, input_shape=(size, size, 3), batch_size=1, classifier_activation=None)
    for variable in model.weights:
        name, shape = variable.path.split("/")[-1], variable.shape
        if name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name == "kernel":
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:2] if shape[-1] == 1 else shape[:-1]))
        else:
            value = 0.1 * rng.standard_normal(shape)
        variable.assign(value.astype(np.float32))
    content = float_file(model, size)
    result = optimize(content, label="net")
    assert result.relative_error <= 1e-5 and sum(choice.changes for choice in result.choices) == 3
    assert result.before.partitions == result.after.partitions == 1
    assert result.after.operations["MAX_POOL_2D"] == 1
    depthwise = result.after.operations["DEPTHWISE_CONV_2D"]
    assert (result.before.operations["DEPTHWISE_CONV_2D"], depthwise) == (5, 2 + 3 * 3)
    for image in rng.standard_normal((4, 1, size, size, 3)).astype(np.float32):
        assert relative_difference([np.asarray(model(image))], run(result.content, image)) <= 1e-5
