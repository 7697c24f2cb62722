"""Calibration finds the range of each tensor, also of one whose memory the interpreter uses again."""

import numpy as np

INPUTS = [np.random.default_rng(seed).normal(0, 3, (1, 8, 8, 3)).astype(np.float32) for seed in range(5)]


def test_ranges_are_exact(float_file):
    """The network has a convolution, an h-swish with its gate, and a sum. Keras and numpy say what the ranges are."""
    import keras
    from ai_edge_litert import schema_py_generated as schema

    from scarlet_tf.export.integer import calibrate
    from scarlet_tf.tflite.graph import Graph
    from scarlet_tf.tflite.passes.hard_swish import spell_hard_swish

    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    convolution = keras.layers.Conv2D(3, 3, padding="same")(x)
    swish = keras.layers.Activation("hard_swish")(convolution)
    model = keras.Model(x, keras.layers.Conv2D(2, 1)(swish + convolution))
    graph = Graph(float_file(model, 8))
    assert spell_hard_swish(graph).changes == 1
    calibrated = calibrate(graph.to_bytes(), lambda: ([image] for image in INPUTS))
    tensors = schema.ModelT.InitFromPackedBuf(calibrated, 0).subgraphs[0].tensors
    found = {
        tensor.name.decode(): (tensor.quantization.min[0], tensor.quantization.max[0])
        for tensor in tensors
        if tensor.quantization is not None and tensor.quantization.min is not None
    }
    y = keras.Model(x, convolution)(np.concatenate(INPUTS)).numpy()
    gate = np.clip(y + 3, 0, 6) / 6
    (of_gate,) = (values for name, values in found.items() if name.endswith("/gate"))
    np.testing.assert_allclose(of_gate, (gate.min(), gate.max()), atol=1e-6)
    outputs = model(np.concatenate(INPUTS)).numpy()
    for values in (y, 6 * gate, y * gate, y * gate + y, outputs, np.concatenate(INPUTS)):
        close = [np.allclose(known, (values.min(), values.max()), atol=1e-5) for known in found.values()]
        assert sum(close) == 1
    assert len(found) == 7
