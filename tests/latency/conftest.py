import pytest


@pytest.fixture(scope="session")
def tflite_file(tmp_path_factory):
    """A small .tflite file: one depthwise convolution of a (1, 8, 8, 4) map."""
    import keras

    from scarlet_tf.export import export_tflite

    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, keras.layers.DepthwiseConv2D(3)(inputs))
    return export_tflite(model, tmp_path_factory.mktemp("tflite") / "small.tflite")
