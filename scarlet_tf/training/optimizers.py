"""Optimizers, weight decay and weight averages of the recipes."""

from __future__ import annotations

import keras
import tensorflow as tf

from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.fused import FusedBatchNorm


def make_optimizer(config: TrainConfig, schedule, *, keras=keras):
    """The optimizer of a config, of either Keras module; `schedule` may be a plain number.

    RMSProp is TensorFlow 1's, which MnasNet used: v = rho v + (1 - rho) g^2, m = momentum m + lr g / sqrt(v + epsilon),
    w = w - m. Keras starts v at 0, TensorFlow 1 at 1.
    """
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(schedule, rho=config.rho, momentum=config.momentum, epsilon=config.epsilon)
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=config.momentum, nesterov=config.momentum > 0)
    return keras.optimizers.Adam(schedule, beta_1=config.momentum, epsilon=config.epsilon)


def decayed_variables(model: keras.Model) -> list:
    """Trainable variables that L2 applies to: all but batch normalisation's."""
    return [
        variable
        for layer in model.layers
        if not isinstance(layer, (keras.layers.BatchNormalization, FusedBatchNorm))
        for variable in layer.trainable_variables
    ]


def l2_penalty(variables: list):
    """Sum of tf.nn.l2_loss, half the sum of squares, over variables."""
    return tf.add_n([tf.nn.l2_loss(variable.value) for variable in variables])


def ema_decay(ema: float, step):
    """Share of the old average kept at the step after `step` finished ones: lower at first, as tf.train's is."""
    step = tf.cast(step, tf.float32)
    return tf.minimum(ema, (1.0 + step) / (10.0 + step))
