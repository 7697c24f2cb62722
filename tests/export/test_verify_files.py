"""Verification of .tflite files that this project did not make."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from scarlet_tf.export import ExportError, verify
from scarlet_tf.tflite import Graph
from scarlet_tf.zoo import load_keras_file

SHIPPED = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"


def converted(model, batch, *, kind=tf.float32):
    function = tf.function(lambda x: model(tf.cast(x, tf.float32), training=False), autograph=False)
    shape = (batch, *model.input_shape[1:])
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(tf.TensorSpec(shape, kind)))
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()


@pytest.fixture(scope="module")
def model():
    import keras

    keras.utils.set_random_seed(0)
    x = image = keras.Input((4, 4, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(x))
    return keras.Model(image, keras.layers.Dense(5)(x), name="small")


@pytest.mark.parametrize("batch", [1, 4, None])
def test_a_batch_of_any_size(batch, model, tmp_path):
    """Six images, so that a batch of 4 is filled up; 27 and 16 products are added in another order than Keras's."""
    (tmp_path / "a.tflite").write_bytes(converted(model, batch))
    images = np.random.default_rng(0).standard_normal((6, 4, 4, 3)).astype(np.float32)
    (check,) = verify(model, images, tflite=[tmp_path / "a.tflite"]).formats
    assert check.top1_agreement == 1.0
    magnitudes = sum(np.abs(weights).sum() for weights in model.get_weights()) * np.abs(images).max()
    assert check.max_error <= (27 + 16) * np.finfo(np.float32).eps * magnitudes


def test_integers_that_say_no_scale_are_refused(model, tmp_path):
    (tmp_path / "a.tflite").write_bytes(converted(model, 1, kind=tf.int32))
    with pytest.raises(ExportError, match=r"a\.tflite has int32 input without a scale: expected float32 or quantized"):
        verify(model, np.zeros((1, 4, 4, 3), np.float32), tflite=[tmp_path / "a.tflite"])


@pytest.mark.slow
def test_a_file_that_fails_is_named_and_the_other_checked(tmp_path, call_tool):
    content = converted(load_keras_file(SHIPPED / "model.keras"), None)
    (tmp_path / "good.tflite").write_bytes(content)
    graph = Graph(content)
    code = graph.operators[-1].opcodeIndex
    graph.model.operatorCodes[code] = schema.OperatorCodeT(builtinCode=32, deprecatedBuiltinCode=32, customCode=b"Mine")
    (tmp_path / "bad.tflite").write_bytes(graph.to_bytes())
    flags = ["--tflite=bad.tflite,good.tflite", "--limit=10", "--output=v.json"]
    done = call_tool("verify", f"--model={SHIPPED}", *flags, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("verify.py: ")]
    assert "bad.tflite: the model cannot be run: operator" in line and "Mine, failed to prepare" in line
    (row,) = json.loads((tmp_path / "v.json").read_text())["formats"]
    assert row["path"] == "good.tflite" and row["top1_agreement"] == 1.0
    done = call_tool("verify", f"--model={SHIPPED}", "--tflite=bad.tflite", "--output=w.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "w.json").exists()
