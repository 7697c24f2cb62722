"""7x7 depthwise convolutions in parts, against the file that they came from."""

import collections
import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scarlet_tf.tflite import Graph, probe, run_passes
from scarlet_tf.tflite.forms.parts import FIVE_PARTS, THREE_PARTS
from scarlet_tf.tflite.graph import Activation, Type
from scarlet_tf.tflite.passes.split_depthwise import split_depthwise
from scarlet_tf.tflite.runtime import TFLiteFileError

five_parts = functools.partial(split_depthwise, parts=FIVE_PARTS)
SIZES = (7, 8, 13, 14, 28)
SUMS = {"DEPTHWISE_CONV_2D": 5, "ADD": 4}
# What a part needs of zeros depends on its taps, so each pads for itself.
PADDED = SUMS | {"PAD": 5}


@pytest.fixture
def split(run, kinds, relative_difference):
    """Function (content) -> (operators after, report, file after), the outputs compared."""

    def split(content):
        rewritten, (report,) = run_passes(content, [five_parts])
        shape = Graph(content).shape(Graph(content).subgraph.inputs[0])
        image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        for delegate in (True, False):
            expected, got = (run(c, image, delegate=delegate) for c in (content, rewritten))
            assert relative_difference(expected, got) <= 1e-5
        assert np.ptp(expected[0]) > 1
        return dict(collections.Counter(kinds(rewritten))), report, rewritten

    return split


@pytest.mark.parametrize("parts", [FIVE_PARTS, THREE_PARTS])
def test_every_tap_is_in_one_part(parts):
    taps = collections.Counter(tap for part in parts for tap in itertools.product(part.rows, part.columns))
    assert taps == {tap: 1 for tap in itertools.product(range(7), range(7))}
    for part in parts:
        for positions, dilation in zip((part.rows, part.columns), part.dilation, strict=True):
            assert set(np.diff(positions)) <= {dilation}
            assert [6 - p for p in positions[::-1]] == list(positions)
        assert len(part.rows) * len(part.columns) <= 25


@pytest.mark.parametrize("size", SIZES)
def test_same_at_stride_1_needs_no_padding_of_its_own(size, depthwise, split):
    counts, report, _ = split(depthwise(size))
    assert counts == SUMS and report.changes == 1 and not report.rounds_anew
    assert str(report) == "split_depthwise: 1, 7x7 depthwise into 5 parts"


@pytest.mark.parametrize("size", SIZES)
def test_same_at_stride_2(size, depthwise, split):
    counts, report, _ = split(depthwise(size, stride=2))
    assert counts == PADDED and report.changes == 1


@pytest.mark.parametrize(("size", "stride"), [*itertools.product(SIZES, (1, 2)), (1, 1), (2, 2)])
def test_zero_padding_in_front_is_taken_in(size, stride, depthwise, split):
    counts, report, _ = split(depthwise(size, stride=stride, padding="pad"))
    assert counts == PADDED and report.changes == 1


@pytest.mark.parametrize("stride", [1, 2])
def test_three_parts(stride, depthwise, run, kinds, relative_difference):
    content = depthwise(9, stride=stride)
    graph = Graph(content)
    assert split_depthwise(graph, THREE_PARTS).changes == 1
    image = np.random.default_rng(0).standard_normal((1, 9, 10, 3)).astype(np.float32)
    assert relative_difference(run(content, image), run(graph.to_bytes(), image)) <= 1e-5
    assert collections.Counter(kinds(graph.to_bytes()))["DEPTHWISE_CONV_2D"] == 3


AMOUNT = st.integers(0, 6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(7, 16), st.integers(1, 3), st.tuples(*[st.tuples(AMOUNT, AMOUNT)] * 2))
def test_any_padding_is_taken_in_exactly_or_left(depthwise, run, relative_difference, size, stride, amounts):
    """A part that would have to crop is not made: taps start at most two rows and one column into the window."""
    content = depthwise(size, stride=stride, padding="pad", amounts=amounts)
    rewritten, (report,) = run_passes(content, [five_parts])
    needed = list(zip((2, 1), amounts, strict=True))
    assert report.changes == 1 or any(min(pair) < need + stride - 1 for need, pair in needed)
    assert report.changes == 0 or all(before >= need for need, (before, _) in needed)
    image = np.random.default_rng(0).standard_normal((1, size, size + 1, 3)).astype(np.float32)
    assert relative_difference(run(content, image), run(rewritten, image)) <= 1e-5


def test_padding_that_others_read_stays_for_them(depthwise, split):
    counts, report, _ = split(depthwise(8, stride=2, padding="pad", pad_read=True))
    assert counts == PADDED | {"PAD": 6} and report.changes == 1


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"stride": 2, "padding": "pad"}])
def test_fused_relu6_comes_after_the_sum(options, depthwise, split, run):
    content = depthwise(13, activation=Activation.RELU6, **options)
    _, report, rewritten = split(content)
    assert report.changes == 1
    image = np.random.default_rng(0).standard_normal((1, 13, 14, 3)).astype(np.float32)
    (result,) = run(rewritten, image)
    assert (result.min(), result.max()) == (0.0, 6.0)


def test_no_bias_counts_as_zero(depthwise, run, kinds, relative_difference):
    """The interpreter itself dies of a depthwise convolution without one, but other runtimes know it."""
    bare, zero = depthwise(8, bias=None), depthwise(8, bias=0.0)
    rewritten, (report,) = run_passes(bare, [five_parts])
    image = np.random.default_rng(0).standard_normal((1, 8, 9, 3)).astype(np.float32)
    assert relative_difference(run(zero, image), run(rewritten, image)) <= 1e-5
    assert collections.Counter(kinds(rewritten)) == SUMS and report.changes == 1
    with pytest.raises(TFLiteFileError, match="the interpreter crashed"):
        probe(bare, label="bare")


def test_float16_weights_stay_float16(depthwise, split):
    counts, report, rewritten = split(depthwise(8, float16=True))
    assert counts == SUMS | {"DEQUANTIZE": 5} and report.changes == 1
    graph = Graph(rewritten)
    stored = [t for t in graph.subgraph.tensors if t.type == Type.FLOAT16]
    assert sum(int(np.prod(tensor.shape)) for tensor in stored) == 49 * 3


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"padding": "valid"}, "7x7 depthwise into 5 parts; 1 left, padded otherwise"),
        ({"padding": "valid", "stride": 2}, "7x7 depthwise into 5 parts; 1 left, padded otherwise"),
        ({"dilation": 2}, "no float 7x7 depthwise convolution"),
        ({"dilation": 2, "padding": "pad"}, "no float 7x7 depthwise convolution"),
        ({"kernel": 5}, "no float 7x7 depthwise convolution"),
        ({"kernel": 3, "stride": 2}, "no float 7x7 depthwise convolution"),
    ],
)
def test_left_alone(options, note, depthwise):
    content = depthwise(9, **options)
    rewritten, (report,) = run_passes(content, [five_parts])
    assert rewritten == content and (report.changes, report.note) == (0, note)
    assert str(report) == f"split_depthwise: nothing, {note}"
