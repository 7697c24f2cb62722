"""Optimizers, L2 penalty and weight averaging of the recipes."""

from __future__ import annotations

import keras
import tensorflow as tf

from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.fused import FusedBatchNorm


def make_optimizer(config: TrainConfig, schedule, *, keras=keras):
    """Return the optimizer of a config.

    RMSProp is TensorFlow 1's, which MnasNet used: v = rho v + (1 - rho) g^2, m = momentum m + lr g / sqrt(v + epsilon),
    w = w - m. Keras starts v at 0, TensorFlow 1 at 1.

    Args:
        config: the training settings.
        schedule: a learning rate schedule, or a number.
        keras: the module whose optimizer is returned, keras or tf_keras.
    """
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(schedule, rho=config.rho, momentum=config.momentum, epsilon=config.epsilon)
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=config.momentum, nesterov=config.momentum > 0)
    return keras.optimizers.Adam(schedule, beta_1=config.momentum, epsilon=config.epsilon)


def decayed_variables(model: keras.Model) -> list:
    """Return the trainable variables that L2 applies to: all except batch normalisation's."""
    return [
        variable
        for layer in model.layers
        if not isinstance(layer, (keras.layers.BatchNormalization, FusedBatchNorm))
        for variable in layer.trainable_variables
    ]


def l2_penalty(variables: list):
    """Return the sum of tf.nn.l2_loss, half the sum of squares, over variables."""
    return tf.add_n([tf.nn.l2_loss(variable.value) for variable in variables])


def ema_decay(ema: float, step):
    """Return the share of the old average kept after `step` finished steps: lower at first, as in tf.train."""
    step = tf.cast(step, tf.float32)
    return tf.minimum(ema, (1.0 + step) / (10.0 + step))
