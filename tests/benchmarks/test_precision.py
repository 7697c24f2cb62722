"""Rounding errors of the exported files against float64, beside Keras's own."""

import json
from pathlib import Path

import pytest

from benchmarks.precision.rounding_errors import errors, make_page, open_trained, random_errors
from scarlet_tf.arch import get_space

ZOO = Path(__file__).parents[2] / "zoo"


@pytest.mark.slow
def test_random_networks(tmp_path):
    """At most twice Keras's own error, in the mean over 2 networks and 16 images each.

    A mean of m errors of independent images scatters by their spread, about half of the mean, over the root of m: here
    by a tenth. Two implementations of equal quality then differ by far less than 2, single images by more.
    """
    pytest.importorskip("onnxruntime")
    get_space("small").spec((3, 12, 7, 12, 11, 12), let=True).save(tmp_path / "spec.json")
    found = random_errors(str(tmp_path / "spec.json"), seeds=2, images=16)
    assert {name: len(values) for name, values in found.items()} == {"keras": 32, "onnx": 32, "tflite": 32}
    assert 0 < found["keras"].mean() < 1e-3
    assert max(found["onnx"].mean(), found["tflite"].mean()) <= 2 * found["keras"].mean()


@pytest.mark.slow
def test_trained_network():
    pytest.importorskip("onnxruntime")
    source, images = open_trained(str(ZOO / "weights" / "scarlet_fashion"), limit=100)
    found = errors(source, images)
    assert all(0 < values.max() <= 1e-5 for values in found.values()), found


def test_recorded_page_is_that_of_the_recorded_numbers():
    result = json.loads((ZOO / "results" / "precision.json").read_text())
    assert make_page(result) == (ZOO / "results" / "precision.md").read_text()
