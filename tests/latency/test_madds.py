"""Multiply-adds read from .tflite files, against the counter of specs and by hand."""

import pytest

from scarlet_tf.arch import count
from scarlet_tf.tflite import TFLiteFileError, count_madds
from scarlet_tf.tflite.madds import Op, operator_madds


def test_file_equals_spec(network):
    spec, plain, fast = network
    assert count_madds(plain) == count(spec).madds
    assert count_madds(fast) == count(spec).madds  # a 7x7 kernel's parts have 49 taps together
    assert fast.read_bytes() != plain.read_bytes()


@pytest.mark.parametrize(
    ("code", "weights", "output", "madds"),
    [
        (Op.CONV_2D, (8, 3, 5, 2), (1, 10, 11, 8), 10 * 11 * 8 * 3 * 5 * 2),
        (Op.CONV_2D, (8, 1, 1, 2), (4, 10, 11, 8), 4 * 10 * 11 * 8 * 2),
        (Op.DEPTHWISE_CONV_2D, (1, 3, 5, 8), (1, 10, 11, 8), 10 * 11 * 8 * 3 * 5),
        (Op.FULLY_CONNECTED, (8, 20), (3, 8), 3 * 8 * 20),
        (Op.FULLY_CONNECTED, (8, 20), (3, 7, 8), 3 * 7 * 8 * 20),
        (Op.ADD, (1, 10, 11, 8), (1, 10, 11, 8), 0),
    ],
)
def test_operators(code, weights, output, madds):
    assert operator_madds(code, weights=weights, output=output) == madds


def test_damaged_file(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"\0\0\0\0TFL3")
    with pytest.raises(TFLiteFileError, match=r"a\.tflite: the model cannot be run"):
        count_madds(tmp_path / "a.tflite")
