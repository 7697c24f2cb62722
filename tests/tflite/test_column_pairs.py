"""First convolutions over pairs of columns: the same bits."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from scarlet_tf.tflite import Graph, partition_count
from scarlet_tf.tflite.costs.measure import form_files
from scarlet_tf.tflite.forms import PLAIN, variants_of
from scarlet_tf.tflite.forms.signature import Signature, operator_file
from scarlet_tf.tflite.graph import Op

FORM = "column pairs"


def stem(size, *, kernel=3, stride=2, pad=(0, 0, 0, 0), padding="same", channels=3, outputs=16, fused="RELU6"):
    height, width = (size, size) if isinstance(size, int) else size
    return Signature(
        kind="CONV_2D",
        type="int8",
        shape=(1, height, width, channels),
        kernel=(kernel, kernel, outputs),
        stride=(stride, stride) if isinstance(stride, int) else stride,
        pad=pad,
        padding=padding,
        fused=fused,
    )


def run(content, image):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), partition_count(interpreter)


SHAPES = [
    *[stem(size) for size in (96, 160, 224, 260, 300, 380)],
    *[stem(size, pad=(1, 1, 1, 1), padding="valid") for size in (160, 224, 225, 301)],
    *[stem((n, m), pad=(0, 1, 0, 1), padding="valid") for n, m in ((96, 64), (33, 95))],
    stem((31, 45)),
    stem(64, kernel=5),
    stem(65, kernel=7, pad=(3, 3, 3, 3), padding="valid", fused="NONE"),
    stem(64, kernel=2, padding="valid"),
    stem(48, channels=4, stride=(1, 2)),
    stem(48, channels=2, pad=(2, 0, 3, 1), padding="valid", outputs=5),
]


@pytest.mark.parametrize("signature", SHAPES, ids=str)
def test_same_bits(signature):
    files = form_files(operator_file(signature))
    image = np.random.default_rng(1).integers(-128, 128, signature.shape).astype(np.int8)
    (expected, _), (found, partitions) = run(files[PLAIN], image), run(files[FORM], image)
    assert len(np.unique(expected)) > 50
    np.testing.assert_array_equal(found, expected)
    assert partitions == 1
    (convolution,) = Graph(files[FORM]).of_kind(Op.CONV_2D)
    assert Graph(files[FORM]).shape(convolution.inputs[1])[3] == 2 * signature.shape[3]
    assert convolution.builtinOptions.strideW == 1


@pytest.mark.parametrize(
    "signature",
    [
        stem(65, pad=(1, 0, 1, 0), padding="valid"),
        stem((8, 7), pad=(0, 0, 1, 0), padding="valid"),
        stem(65, kernel=2, padding="valid"),
        stem((9, 33), kernel=4, padding="valid"),
    ],
    ids=str,
)
def test_pairs_that_would_make_one_more_column_are_left_alone(signature):
    graph = Graph(operator_file(signature))
    assert FORM not in variants_of(graph, graph.operators[-1])


@pytest.mark.parametrize(
    "signature",
    [stem(64, stride=1), stem(64, channels=8), stem(64, kernel=1), stem(64, channels=1)],
    ids=["stride 1", "many channels", "1x1", "one channel"],
)
def test_left_alone(signature):
    graph = Graph(operator_file(signature))
    assert FORM not in variants_of(graph, graph.operators[-1])
