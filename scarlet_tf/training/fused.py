"""Training form of a network: each batch normalisation and its activation are fused into one pass over the feature map.

Keras's own layers take most of a training step on a CPU. The fused layers keep the names and variables of the layers
that they replace, so both forms share weights unchanged.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from scarlet_tf.kernels.norm import batch_norm


class FusedBatchNorm(keras.layers.Layer):
    """Training-mode batch normalisation over all replicas, with an activation ("linear", "relu6" or "h_swish")."""

    def __init__(self, *, epsilon: float, momentum: float, activation: str, name: str) -> None:
        super().__init__(name=name)
        self.epsilon = epsilon
        self.momentum = momentum
        self.activation = activation

    def build(self, input_shape) -> None:
        shape = (input_shape[-1],)
        # Not cast to 16 bits: `batch_norm` normalises in float32.
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma", autocast=False)
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta", autocast=False)
        moving = {"shape": shape, "trainable": False, "aggregation": "mean", "autocast": False}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **moving)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **moving)

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x, mask=None):  # clone_model repeats the original layer's call, which passes a mask
        y, statistics = batch_norm(x, self.gamma, self.beta, activation=self.activation, epsilon=self.epsilon)
        for moving, batch in zip((self.moving_mean, self.moving_variance), tf.unstack(statistics), strict=True):
            updated = self.momentum * moving + (1.0 - self.momentum) * batch
            # In float16 a step may overflow. It is skipped, and no average would recover from it.
            moving.assign(tf.where(tf.math.is_finite(updated), updated, moving))
        return y


class MatmulConv(keras.layers.Conv2D):
    """A 1x1 convolution with stride 1 as a matrix product, whose gradients are faster on a CPU."""

    def call(self, x):
        kernel = tf.cast(self.kernel.value, x.dtype)
        flat = tf.reshape(x, (-1, x.shape[-1])) @ tf.squeeze(kernel, axis=(0, 1))
        y = tf.reshape(flat, (*x.shape[:-1], self.filters))
        return self.activation(y + tf.cast(self.bias.value, x.dtype) if self.use_bias else y)


def fused(model: keras.Model) -> keras.Model:
    """Return the training form of a built model, newly initialised; the model's batch size must be fixed."""
    absorbed = _absorbed_activations(model)
    activations = {source: kind for source, kind in absorbed.values()}

    def clone(layer):
        if layer.name in absorbed:
            return keras.layers.Identity(name=layer.name)
        if _is_norm(layer):
            return FusedBatchNorm(
                epsilon=layer.epsilon,
                momentum=layer.momentum,
                activation=activations.get(layer.name, "linear"),
                name=layer.name,
            )
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1) and layer.strides == (1, 1):
            return MatmulConv.from_config(layer.get_config())
        if isinstance(layer, keras.layers.Dense):  # 16 bits are too few for logits
            return keras.layers.Dense.from_config(layer.get_config() | {"dtype": "float32"})
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=clone)


def _absorbed_activations(model: keras.Model) -> dict[str, tuple[str, str]]:
    """Map the name of each activation layer to the batch normalisation that it follows directly, and to its kind."""
    norms = {id(layer.output): layer.name for layer in model.layers if _is_norm(layer)}
    found = {}
    for layer in model.layers:
        if kind := _activation_of(layer):
            source = norms.get(id(layer.input))
            if source:
                found[layer.name] = (source, kind)
    return found


def _is_norm(layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _activation_of(layer) -> str | None:
    if isinstance(layer, keras.layers.ReLU) and layer.max_value == 6:
        return "relu6"
    if isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.hard_silu:
        return "h_swish"
    return None
