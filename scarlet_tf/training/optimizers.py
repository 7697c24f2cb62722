"""Optimizers, learning rate schedules, L2 penalty and weight averaging of the recipes."""

from __future__ import annotations

import math

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


class WarmupExponential(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0 to `peak` over warmup_steps, then exponential decay in discrete steps, as in MnasNet.

    The decayed rate is peak * decay_rate ** floor(step / decay_steps), where `step` includes the warm-up.
    """

    def __init__(self, peak: float, *, warmup_steps: float, decay_steps: float, decay_rate: float) -> None:
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        decayed = self.peak * tf.pow(tf.constant(self.decay_rate, tf.float32), tf.floor(step / self.decay_steps))
        return tf.where(step < self.warmup_steps, self.peak * step / max(self.warmup_steps, 1e-9), decayed)

    def get_config(self) -> dict:
        return dict(vars(self))


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0 to `peak` over warmup_steps, then half a cosine to 0 at total_steps."""

    def __init__(self, peak: float, *, warmup_steps: float, total_steps: int) -> None:
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        done = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1e-9)
        cosine = self.peak * 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(done, 0.0, 1.0)))
        return tf.where(step < self.warmup_steps, self.peak * step / max(self.warmup_steps, 1e-9), cosine)

    def get_config(self) -> dict:
        return dict(vars(self))


class Later(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule from its step number `steps` on."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, *, steps: int) -> None:
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step):
        return self.schedule(tf.cast(step, tf.int64) + self.steps)

    def get_config(self) -> dict:
        return dict(vars(self))


def make_schedule(config: TrainConfig, *, steps_per_epoch: int, total_steps: int):
    """Return the schedule of a config, which maps a step to a float32 learning rate."""
    warmup_steps = config.warmup_epochs * steps_per_epoch
    if config.schedule == "cosine":
        return WarmupCosine(config.peak_learning_rate, warmup_steps=warmup_steps, total_steps=total_steps)
    return WarmupExponential(
        config.peak_learning_rate,
        warmup_steps=warmup_steps,
        decay_steps=config.decay_epochs * steps_per_epoch,
        decay_rate=config.decay_rate,
    )
