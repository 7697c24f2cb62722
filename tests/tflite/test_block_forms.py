"""Depthwise convolutions as grouped convolutions over blocks: the same bits in int8, but for rounding in float.

The channels do not mix, so few stand for many.
"""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from rounding import rounding_limit

from scarlet_tf import zoo
from scarlet_tf.tflite import Graph, partition_count
from scarlet_tf.tflite.costs.measure import form_files
from scarlet_tf.tflite.forms import PLAIN, variants_of
from scarlet_tf.tflite.forms.axis import Axis, blocks_of, single, whole
from scarlet_tf.tflite.forms.grouped import toeplitz
from scarlet_tf.tflite.forms.signature import Signature, operator_file
from scarlet_tf.tflite.graph import Op, Type

DEPTHWISE = "DEPTHWISE_CONV_2D"
CHANNELS = 8
BLOCKS = ("rows", "whole maps", "tiles of 4x4")


def depthwise(size, kernel, *, stride=1, pad=None, type="int8", fused="NONE", padding="valid", channels=CHANNELS):
    """Signature of a depthwise convolution with a PAD of `pad` zeros on each side, or with the padding of its own."""
    height, width = (size, size) if isinstance(size, int) else size
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    strides = (stride, stride) if isinstance(stride, int) else stride
    return Signature(
        kind=DEPTHWISE,
        type=type,
        shape=(1, height, width, channels),
        kernel=(rows, columns, channels),
        stride=strides,
        pad=(0, 0, 0, 0) if pad is None else (pad, pad, pad, pad) if isinstance(pad, int) else pad,
        padding=padding,
        fused=fused,
    )


def of_networks(size):
    """Depthwise convolutions of 25 and 49 taps of SCARLET-A, B, C, A2 and A4 for images of a size."""
    found = set()
    for name in ("scarlet_a", "scarlet_b", "scarlet_c", "scarlet_a2", "scarlet_a4"):
        spec = zoo.get_spec(name)
        side = -(-size // spec.stem_stride)
        for block in spec.blocks:
            if block.kind == "inverted_residual" and block.kernel_size > 3:
                padded = {"pad": block.kernel_size // 2} if block.stride > 1 else {"padding": "same"}
                found.add(depthwise(side, block.kernel_size, stride=block.stride, **padded))
            side = -(-side // block.stride)
    return sorted(found, key=str)


def block_files(signature):
    """Files of an operator by form: plain, and all that are convolutions of blocks."""
    files = form_files(operator_file(signature))
    return {name: content for name, content in files.items() if name == PLAIN or name.startswith(BLOCKS)}


def check_exact(signature, run):
    image = np.random.default_rng(1).integers(-128, 128, signature.shape, np.int8)
    files = block_files(signature)
    (expected,) = run(files.pop(PLAIN), image)
    assert np.ptp(expected.astype(int)) > 40
    for name, content in files.items():
        (got,) = run(content, image)
        assert np.array_equal(got, expected), name
    return set(files)


@pytest.mark.parametrize("size", [160, 192, 224, 260, 300, 380])
def test_every_large_depthwise_of_the_networks_keeps_its_bits(size, run):
    signatures = of_networks(size)
    assert len(signatures) >= 7
    for signature in signatures:
        assert check_exact(signature, run)


def random_signature(seed):
    """A kernel of 25 taps or more, of any sizes, strides and padding, with few channels."""
    rng = np.random.default_rng(seed)
    kernel = tuple(rng.integers(3, 9, 2))
    while np.prod(kernel) < 25:
        kernel = tuple(rng.integers(3, 9, 2))
    size = tuple(int(n) for n in rng.integers(9, 40, 2))
    channels = int(rng.choice([1, 2, 3, 4, 6]))
    padding = ("same", "valid", "pad")[rng.integers(3)]
    return depthwise(
        size,
        tuple(int(n) for n in kernel),
        stride=tuple(int(n) for n in rng.integers(1, 4, 2)),
        pad=tuple(int(n) for n in rng.integers(0, 6, 4)) if padding == "pad" else None,
        padding="same" if padding == "same" else "valid",
        fused=str(rng.choice(["NONE", "RELU", "RELU6"])),
        channels=channels,
    )


def test_random_depthwise_convolutions_keep_their_bits(run):
    signatures = [random_signature(seed) for seed in range(40)]
    assert len(set(signatures)) == 40
    used = [name for signature in signatures for name in check_exact(signature, run)]
    assert {"rows", "rows, groups of 2", "tiles of 4x4"} <= set(used) and len(used) > 70


@pytest.mark.parametrize("fused", ["NONE", "RELU6"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 7, 1), (14, 5, 1), (28, 7, 2), ((17, 33), (5, 6), 1)])
def test_float_differs_by_rounding_only(size, kernel, stride, fused, run):
    signature = depthwise(size, kernel, stride=stride, padding="same", type="float32", fused=fused)
    image = np.random.default_rng(1).standard_normal(signature.shape).astype(np.float32)
    files = block_files(signature)
    (expected,) = run(files.pop(PLAIN), image)
    assert np.ptp(expected) > 2 and len(files) > 2
    weights = Graph(operator_file(signature))
    kernel = weights.constant(weights.operators[-1].inputs[1])
    largest = np.abs(kernel).sum(axis=(1, 2)).max() * np.abs(image).max() + np.abs(expected).max()
    for name, content in files.items():
        (got,) = run(content, image)
        limit = 2 * rounding_limit(kernel.shape[1] * kernel.shape[2]) * largest
        assert np.abs(got - expected).max() <= limit, name


def test_float16_weights_stay_float16(depthwise, run, relative_difference):
    files = form_files(depthwise(14, float16=True))
    image = np.random.default_rng(0).standard_normal((1, 14, 15, 3)).astype(np.float32)
    assert {"rows", "tiles of 4x4", "five parts"} <= set(files)
    for content in files.values():
        graph = Graph(content)
        for operator in [*graph.of_kind(Op.CONV_2D), *graph.of_kind(Op.DEPTHWISE_CONV_2D)]:
            loaded = graph.producer(operator.inputs[1])
            assert graph.code(loaded) == Op.DEQUANTIZE and graph.is_type(loaded.inputs[0], Type.FLOAT16)
        assert relative_difference(run(files[PLAIN], image), run(content, image)) <= 1e-5


def test_without_a_delegate_they_differ_by_one_at_most(run):
    """LiteRT's own kernels round a convolution and a depthwise one differently."""
    signature = depthwise(14, 5, padding="same", fused="RELU6")
    image = np.random.default_rng(1).integers(-128, 128, signature.shape, np.int8)
    files = block_files(signature)
    (expected,) = run(files.pop(PLAIN), image, delegate=False)
    for content in files.values():
        (got,) = run(content, image, delegate=False)
        assert np.abs(got.astype(int) - expected).max() <= 1 and np.ptp(got.astype(int)) > 40


def test_one_scale_for_all_channels_is_left():
    graph = Graph(operator_file(depthwise(14, 5, padding="same")))
    for index in graph.operators[0].inputs[1:]:
        quantization = graph.tensor(index).quantization
        quantization.scale, quantization.zeroPoint = quantization.scale[:1], quantization.zeroPoint[:1]
    assert set(variants_of(graph, graph.operators[0])) == {"float"}


def test_one_partition_of_integer_operators():
    for signature in (depthwise(28, 7, stride=2, pad=3), depthwise(7, 5, padding="same"), depthwise(13, 7, pad=3)):
        for content in block_files(signature).values():
            interpreter = Interpreter(model_content=content)
            interpreter.allocate_tensors()
            assert partition_count(interpreter) == 1
            assert Graph(content).float_operations() == set()


@pytest.mark.parametrize(
    "signature",
    [
        depthwise(14, 3, padding="same"),
        depthwise(14, (4, 6), padding="same"),
        Signature(kind=DEPTHWISE, type="int8", shape=(1, 14, 14, 4), kernel=(5, 5, 8)),
        Signature(kind=DEPTHWISE, type="int8", shape=(1, 14, 14, 4), kernel=(5, 5, 4), dilation=(2, 2)),
        Signature(kind=DEPTHWISE, type="int8", shape=(2, 14, 14, 4), kernel=(5, 5, 4)),
        Signature(kind=DEPTHWISE, type="hybrid", shape=(1, 14, 14, 4), kernel=(5, 5, 4)),
    ],
    ids=["9 taps", "24 taps", "multiplier", "dilation", "batch", "hybrid"],
)
def test_not_applicable(signature):
    assert set(block_files(signature)) == {PLAIN}


def test_weights_with_a_zero_point_and_computed_weights_are_left():
    graph = Graph(operator_file(depthwise(14, 5, padding="same")))
    (operator,) = graph.operators
    graph.tensor(operator.inputs[1]).quantization.zeroPoint = np.ones(CHANNELS, np.int64)
    assert not set(variants_of(graph, operator)) - {"float"}
    graph = Graph(operator_file(depthwise(14, 5, padding="same")))
    graph.model.buffers[graph.tensor(graph.operators[0].inputs[1]).buffer].data = None
    assert variants_of(graph, graph.operators[0]) == {}


def test_a_pad_that_others_read_stays_for_them(run):
    graph = Graph(operator_file(depthwise(14, 5, pad=2)))
    graph.subgraph.outputs.append(graph.of_kind(Op.PAD)[0].outputs[0])
    files = form_files(graph.to_bytes())
    image = np.random.default_rng(1).integers(-128, 128, (1, 14, 14, CHANNELS), np.int8)
    expected = run(files.pop(PLAIN), image)
    for content in files.values():
        got = run(content, image)
        assert [np.abs(a.astype(int) - b).max() for a, b in zip(got, expected, strict=True)] in ([0, 0], [1, 0])


def test_blocks_of_an_axis():
    """Windows of 7 at stride 1 and 2 on 28 elements: which blocks a tile of four outputs reads."""
    axis = Axis(size=28, out=28, taps=7, stride=1, before=3)
    blocks = blocks_of(axis, block=4, tile=4)
    assert (blocks.front, blocks.back, blocks.start, blocks.taps, blocks.step) == (0, 0, -1, 3, 1)
    assert blocks.is_same and blocks.padding == (1, 1) and (blocks.count, blocks.tiles) == (7, 7)
    axis = Axis(size=28, out=28, taps=5, stride=1, before=2)
    blocks = blocks_of(axis, block=4, tile=4)
    assert (blocks.front, blocks.back, blocks.start, blocks.taps) == (2, 2, 0, 2)
    assert (blocks.count, blocks.tiles, blocks.padding) == (8, 7, (0, 0))
    assert single(axis).padding == (2, 2) and single(axis).is_same
    assert whole(axis).taps_read().shape == (28, 28)
    with pytest.raises(ValueError, match="tiles of 1 outputs at stride 1 do not start at blocks of 4"):
        blocks_of(axis, block=4, tile=1)


def test_toeplitz_matrix():
    """Kernel [1, 2, 3] over a row of four, one zero around it."""
    axis = Axis(size=4, out=4, taps=3, stride=1, before=1)
    one = Axis(size=1, out=1, taps=1, stride=1, before=0)
    kernel = np.int8([[[1, 10], [2, 20], [3, 30]]])
    matrix = np.int8([[2, 3, 0, 0], [1, 2, 3, 0], [0, 1, 2, 3], [0, 0, 1, 2]])
    single_groups = toeplitz(kernel, whole(one), whole(axis), group=1)
    np.testing.assert_array_equal(single_groups.reshape(2, 4, 4), [matrix, 10 * matrix])
    both = toeplitz(kernel, whole(one), whole(axis), group=2).reshape(4, 2, 4, 2)  # by output and input, then channel
    np.testing.assert_array_equal(both[:, 0, :, 0], matrix)
    np.testing.assert_array_equal(both[:, 1, :, 1], 10 * matrix)
    assert not both[:, 0, :, 1].any() and not both[:, 1, :, 0].any()
