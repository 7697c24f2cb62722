"""Layers that give nothing on the calibration images."""

import keras
import numpy as np
import pytest

from scarlet_tf.export import export_tflite
from scarlet_tf.tflite import open_interpreter

DEAD = {"ReLU": {"activation": "relu"}, "linear": {}}


@pytest.mark.parametrize("quantize", ["int8", "int8_pure"])
@pytest.mark.parametrize("kind", DEAD)
@pytest.mark.parametrize("optimize_for", ["xnnpack", "none"])
def test_a_dead_layer_runs_in_int8(tmp_path, quantize, kind, optimize_for):
    """XNNPACK refuses a convolution whose results are tiny beside its products."""
    image = keras.Input((8, 8, 4), batch_size=1)
    dead = keras.layers.Conv2D(8, 1, **DEAD[kind], name="dead")
    model = keras.Model(image, keras.layers.Conv2D(6, 1)(dead(image)))
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((1, 1, 4, 8))
    if kind == "ReLU":
        dead.set_weights([kernel, np.full(8, -100.0)])
    else:  # a kernel that cancels what the images have
        kernel[:, :, 1:] = -kernel[:, :, :1] / 3
        dead.set_weights([kernel, np.zeros(8)])
    images = np.repeat(rng.standard_normal((20, 8, 8, 1)), 4, axis=-1).astype(np.float32)
    path = tmp_path / "dead.tflite"
    export_tflite(model, path, quantize=quantize, representative=[images], optimize_for=optimize_for)
    interpreter = open_interpreter(path)
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], images[:1])
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(made["index"]), model(images[:1]), atol=0.05)
