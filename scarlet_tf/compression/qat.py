"""Quantisation-aware training: fake quantisation where the int8 TFLite kernels round, and nowhere else.

TFLite folds a batch normalisation into the convolution before it and fuses ReLU6, so nothing is rounded between these.
Kernels are symmetric int8 with one scale per output channel; that scale absorbs the batch normalisation's factor, so
rounding the plain kernel is exact. Activations are int8 with one range per tensor: measured on images before training,
and a moving average during training. The statistics of batch normalisation are frozen, so that from the first step the
network in training is the one that will be exported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from scarlet_tf.compression.ranges import INPUT
from scarlet_tf.compression.toolkit import tfmot
from scarlet_tf.compression.twin import clone_with
from scarlet_tf.models import get_weights

RANGE_DECAY = 0.99
_LEAST_LIMIT = 1e-9  # for an all-zero kernel
_MIN, _MAX = "/output_min", "/output_max"  # end the names of a range's two variables

_quantization = tfmot.quantization.keras


class Range(_quantization.quantizers.Quantizer):
    """Quantiser of an activation by its range [min, max] around 0, a moving average over training batches.

    The range starts where `QuantizedModel.set_ends` puts it. tfmot's own starts at [-6, 6] and moves by a thousandth
    per step, too slowly for a short fine-tuning.
    """

    def build(self, tensor_shape, name, layer):
        make = lambda end: layer.add_weight(f"{name}_{end}", initializer="zeros", trainable=False)  # noqa: E731
        return {"min": make("min"), "max": make("max")}

    def __call__(self, inputs, training, weights, **_):
        least, most = weights["min"], weights["max"]
        if training:
            seen = (tf.minimum(tf.reduce_min(inputs), 0.0), tf.maximum(tf.reduce_max(inputs), 0.0))
            for variable, value in zip((least, most), seen, strict=True):
                variable.assign(RANGE_DECAY * variable + (1.0 - RANGE_DECAY) * value)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, least, most)

    def get_config(self) -> dict:
        return {}


class KernelLimits(_quantization.quantizers.Quantizer):
    """Quantiser of a kernel: symmetric in -127..127, with the kernel's current limit.

    Args:
        axis: of the channels, each of which has its own limit: 3, or 2 in a depthwise kernel (k, k, C, 1). None means
            one limit for all, which dense kernels need: the converter cannot transpose them with more.
    """

    def __init__(self, axis: int | None) -> None:
        self.axis = axis

    def build(self, tensor_shape, name, layer):
        return {}

    def __call__(self, inputs, training, weights, **_):
        if self.axis is None:
            limit = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(inputs)), _LEAST_LIMIT))
            return tf.quantization.fake_quant_with_min_max_vars(inputs, -limit, limit, narrow_range=True)
        kernel = tf.reshape(inputs, inputs.shape[: self.axis + 1])
        limit = tf.reduce_max(tf.abs(kernel), axis=list(range(self.axis)))
        limit = tf.stop_gradient(tf.maximum(limit, _LEAST_LIMIT))
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -limit, limit, narrow_range=True)
        return tf.reshape(rounded, inputs.shape)

    def get_config(self) -> dict:
        return {"axis": self.axis}


@tf_keras.utils.register_keras_serializable(package="scarlet_tf")
def quantized_h_sigmoid(x):
    """Return relu6(x + 3) / 6, rounded where TFLite rounds; the ranges are known, [0, 6] and [0, 1]."""
    inner = tf.quantization.fake_quant_with_min_max_args(tf.nn.relu6(x + 3.0), min=0.0, max=6.0)
    return tf.quantization.fake_quant_with_min_max_args(inner * (1.0 / 6.0), min=0.0, max=1.0)


@tf_keras.utils.register_keras_serializable(package="scarlet_tf")
class Rounding(_quantization.QuantizeConfig):
    """What is rounded in a layer.

    Args:
        kernel: name of the layer's kernel, or None.
        output: whether to round its output, after its own activation.
    """

    def __init__(self, kernel: str | None, output: bool) -> None:
        self.kernel = kernel
        self.output = output

    def get_weights_and_quantizers(self, layer):
        if self.kernel is None:
            return []
        kernel = getattr(layer, self.kernel)
        axis = 2 if self.kernel == "depthwise_kernel" else 3
        return [(kernel, KernelLimits(axis if kernel.shape.rank == 4 else None))]

    def set_quantize_weights(self, layer, quantize_weights):
        for kernel in quantize_weights:
            setattr(layer, self.kernel, kernel)

    def get_activations_and_quantizers(self, layer):
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        assert not quantize_activations  # a layer's own activation is part of its output

    def get_output_quantizers(self, layer):
        return [Range()] if self.output else []

    def get_config(self) -> dict:
        return {"kernel": self.kernel, "output": self.output}


class QuantizedModel:
    """A twin with fake quantisation, by tfmot's quantize_annotate_layer and quantize_apply.

    Attributes:
        model: the tf_keras model to train, with the twin's weights. The ranges of activations are [0, 0] until set.
        variables: the variables that training changes.
        state: all variables.
        layers: names of the twin's layers whose outputs need a measured range.
    """

    def __init__(self, twin) -> None:
        self._names = list(get_weights(twin))
        with tf_keras.utils.custom_object_scope({"Rounding": Rounding}), _quantization.quantize_scope():
            annotated = clone_with(twin, _annotated)
            annotated.set_weights(twin.get_weights())
            self.model = _quantization.quantize_apply(annotated)
        self.variables, self.state = self.model.trainable_variables, self.model.variables
        for layer in self.model.layers:
            norm = getattr(layer, "layer", layer)
            if isinstance(norm, tf_keras.layers.BatchNormalization):
                norm.trainable = False  # it uses its moving statistics; gamma and beta are trained
        self.layers = [name[len("quant_") : -len(_MIN)] for name in self._ranges() if name.endswith(_MIN)]

    def weights(self) -> dict[str, np.ndarray]:
        """Return the float weights by the network's own names."""
        named = {_short_name(variable): variable for variable in self.model.variables}
        return {name: named[name].numpy() for name in self._names}

    def ends(self) -> dict[str, tuple[float, float]]:
        """Return the ranges of `layers` and of the INPUT, both ends by layer."""
        ranges = self.ranges()
        return {name: (ranges[_end_names(name)[0]], ranges[_end_names(name)[1]]) for name in (*self.layers, INPUT)}

    def set_ends(self, ends: Mapping[str, tuple[float, float]]) -> None:
        """Set ranges as `ends` returns them."""
        variables = self._ranges()
        for layer, values in ends.items():
            for name, value in zip(_end_names(layer), values, strict=True):
                variables[name].assign(value)

    def ranges(self) -> dict[str, np.ndarray]:
        """Return both ends of every activation's range, float32 scalars by name."""
        return {name: variable.numpy() for name, variable in self._ranges().items()}

    def set_ranges(self, ranges: Mapping[str, np.ndarray]) -> None:
        """Set ranges as `ranges` returns them. Raise ValueError unless the names match exactly."""
        variables = self._ranges()
        if wrong := sorted(variables.keys() ^ ranges.keys()):
            raise ValueError(f"ranges do not fit model {self.model.name!r}: only one of the two has {wrong[0]}")
        for name, variable in variables.items():
            variable.assign(ranges[name])

    def record(self, weights: Mapping[str, np.ndarray]) -> dict:
        """Return the numbers of activations that have a range, and of weights in int8."""
        kernels = [array.size for name, array in weights.items() if name.endswith("/kernel")]
        return {"ranges": len(self._ranges()) // 2, "int8_weights": sum(kernels)}

    def _ranges(self) -> dict[str, tf.Variable]:
        return {
            name: variable
            for variable in self.model.variables
            if (name := _range_name(variable)).endswith(("_min", "_max"))
        }


def _end_names(layer: str) -> tuple[str, str]:
    """Return the names of both ends of a layer's range, as in `ranges`."""
    if layer == INPUT:
        return "quantize_layer/quantize_layer_min", "quantize_layer/quantize_layer_max"
    return f"quant_{layer}{_MIN}", f"quant_{layer}{_MAX}"


def _short_name(variable: tf.Variable) -> str:
    """Return "layer/variable", as in `models.get_weights`."""
    layer, name = variable.name.split(":")[0].split("/")[-2:]
    return f"{layer}/{name.removeprefix('depthwise_')}"


def _range_name(variable: tf.Variable) -> str:
    """Return a name that is the same in every process: tfmot numbers its input layers as it creates them."""
    return re.sub(r"quantize_layer_\d+", "quantize_layer", _short_name(variable))


def _annotated(layer):
    copy = layer.__class__.from_config(layer.get_config())
    if _is_gate(layer):
        copy.activation = quantized_h_sigmoid
    return _quantization.quantize_annotate_layer(copy, _rounding(layer))


def _is_gate(layer) -> bool:
    return isinstance(layer, tf_keras.layers.Activation) and layer.name.endswith("_gate")


def _rounding(layer) -> Rounding:
    layers = tf_keras.layers
    followers = [node.outbound_layer for node in layer.outbound_nodes]
    follower = followers[0] if len(followers) == 1 else None
    if isinstance(layer, (layers.DepthwiseConv2D, layers.Conv2D, layers.Dense)):
        kernel = "depthwise_kernel" if isinstance(layer, layers.DepthwiseConv2D) else "kernel"
        return Rounding(kernel=kernel, output=not isinstance(follower, layers.BatchNormalization))
    if isinstance(layer, layers.BatchNormalization):
        return Rounding(kernel=None, output=not isinstance(follower, layers.ReLU))
    computing = (layers.ReLU, layers.Activation, layers.Multiply, layers.Add, layers.GlobalAveragePooling2D)
    return Rounding(kernel=None, output=isinstance(layer, computing) and not _is_gate(layer))
