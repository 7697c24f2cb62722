"""ReLU6, h-swish and h-sigmoid as layers of keras or tf_keras.

Keras 3 has both hard functions, and the TFLite converter turns hard_silu into one HARD_SWISH operator. tf_keras has no
h-swish, and its "hard_sigmoid" is a different function (0.2*x + 0.5), so it gets ours, registered for loading.
"""

from __future__ import annotations

import functools


def relu6(x, *, keras, name: str):
    """Apply min(max(x, 0), 6)."""
    return keras.layers.ReLU(max_value=6.0, name=name)(x)


def h_swish(x, *, keras, name: str):
    """Apply x * relu6(x + 3) / 6."""
    function = "hard_silu" if _is_keras3(keras) else _tf_keras_functions()["h_swish"]
    return keras.layers.Activation(function, name=name)(x)


def h_sigmoid(x, *, keras, name: str):
    """Apply relu6(x + 3) / 6."""
    function = "hard_sigmoid" if _is_keras3(keras) else _tf_keras_functions()["h_sigmoid"]
    return keras.layers.Activation(function, name=name)(x)


def activation(kind: str, x, *, keras, name: str):
    """Apply one of `arch.block.BLOCK_ACTIVATIONS`."""
    return {"h_swish": h_swish, "relu6": relu6}[kind](x, keras=keras, name=name)


def _is_keras3(keras) -> bool:
    return int(keras.__version__.split(".")[0]) >= 3


@functools.cache
def _tf_keras_functions() -> dict:
    import tensorflow as tf
    import tf_keras

    @tf_keras.utils.register_keras_serializable(package="scarlet_tf")
    def h_swish(x):
        return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)

    @tf_keras.utils.register_keras_serializable(package="scarlet_tf")
    def h_sigmoid(x):
        return tf.nn.relu6(x + 3.0) * (1.0 / 6.0)

    return {"h_swish": h_swish, "h_sigmoid": h_sigmoid}
