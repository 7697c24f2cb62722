"""Rounding errors of the exported files against float64, beside Keras's own."""

import importlib
from pathlib import Path

import pytest
from absl import flags

from scarlet_tf.arch import get_space

SHIPPED = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"


@pytest.fixture(scope="module")
def precision():
    """Import the script, then remove its flags: tools called by other tests define flags of the same names."""
    known = set(flags.FLAGS)
    module = importlib.import_module("precision")
    for name in set(flags.FLAGS) - known:
        delattr(flags.FLAGS, name)
    return module


@pytest.mark.slow
def test_random_networks(precision, tmp_path):
    """At most twice Keras's own error, in the mean over 2 networks and 16 images each.

    A mean of m errors of independent images scatters by their spread, about half of the mean, over the root of m: here
    by a tenth. Two implementations of equal quality then differ by far less than 2, single images by more.
    """
    pytest.importorskip("onnxruntime")
    get_space("small").spec((3, 12, 7, 12, 11, 12), let=True).save(tmp_path / "spec.json")
    found = precision.random_errors(str(tmp_path / "spec.json"), seeds=2, images=16)
    assert {name: len(values) for name, values in found.items()} == {"keras": 32, "onnx": 32, "tflite": 32}
    assert 0 < found["keras"].mean() < 1e-3
    assert max(found["onnx"].mean(), found["tflite"].mean()) <= 2 * found["keras"].mean()


@pytest.mark.slow
def test_trained_network(precision):
    pytest.importorskip("onnxruntime")
    source, images = precision.open_trained(str(SHIPPED), limit=100)
    found = precision.errors(source, images)
    assert all(0 < values.max() <= 1e-5 for values in found.values()), found
