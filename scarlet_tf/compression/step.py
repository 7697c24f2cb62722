"""One fine-tuning step of a tf_keras model under compression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from scarlet_tf.backend import check_tensorflow
from scarlet_tf.runs.background import snapshot
from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.optimizers import make_optimizer, make_schedule

check_tensorflow("scarlet_tf.compression")

# Weight of the mean squared difference from a teacher's logits.
DISTILLATION = 0.1
# With a teacher, the learning rate warms up over this many steps: a few full ones move a trained network at random.
WARMUP_STEPS = 100


class CompressedModel(Protocol):
    """The interface of a model under one of the three methods."""

    model: tf_keras.Model
    variables: list[tf.Variable]  # those that training changes
    state: list[tf.Variable]  # all, in the order of checkpoints

    def weights(self) -> dict[str, np.ndarray]: ...
    def record(self, weights: Mapping[str, np.ndarray]) -> dict: ...


class FineTuneState:
    """A compressed model and its optimizer, and the training step, on one device."""

    def __init__(
        self,
        compressed: CompressedModel,
        config: TrainConfig,
        *,
        steps_per_epoch: int,
        total_steps: int,
        class_weights: np.ndarray | None = None,
        teacher: tf_keras.Model | None = None,
        normalise: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    ) -> None:
        """Create the optimizer and the step.

        Args:
            normalise: see `TrainState`.
            teacher: the network before fine-tuning; the loss adds the squared difference from its logits.
        """
        self.config = config
        self._class_weights, self._normalise = class_weights, normalise
        self.compressed = compressed
        self._teacher = teacher
        self._schedule = make_schedule(config, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
        self._optimizer = make_optimizer(config, 0.0, keras=tf_keras)
        self._optimizer.build(compressed.variables)
        self._saved = [*compressed.state, *self._optimizer.variables]
        decayed = ("kernel", "depthwise_kernel", "bias")  # neither batch normalisation nor the values of clusters
        self._decayed = [v for v in compressed.variables if v.name.split(":")[0].split("/")[-1] in decayed]
        self._step = tf.function(self._make_step, autograph=False)

    def take_steps(self, first: int, batches: Sequence[tuple]) -> dict:
        """Run steps, from number `first` (0-based) on, each on images and labels.

        Returns:
            Scalar tensors of the last step: loss (with label smoothing and L2) and accuracy, means over the batch, and
            learning_rate.
        """
        for number, (images, labels) in enumerate(batches, first):
            scalars = self._step(tf.constant(number, tf.int64), images, labels)
        return scalars

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything that a resumed run needs, including masks, ranges and shared values."""
        return {f"variable/{i:04d}": snapshot(variable) for i, variable in enumerate(self._saved)}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `arrays` returned."""
        for i, variable in enumerate(self._saved):
            variable.assign(arrays[f"variable/{i:04d}"])

    def _make_step(self, number, images, labels):
        config, model, variables = self.config, self.compressed.model, self.compressed.variables
        images = self._normalise(images)
        rate = self._schedule(number)
        if self._teacher is not None:
            rate *= tf.minimum(1.0, tf.cast(number + 1, tf.float32) / WARMUP_STEPS)
        self._optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = keras.losses.categorical_crossentropy(
                tf.one_hot(labels, logits.shape[-1]), logits, from_logits=True, label_smoothing=config.label_smoothing
            )
            if self._class_weights is not None:
                losses *= tf.gather(tf.constant(self._class_weights, tf.float32), labels)
            decay = tf.add_n([tf.nn.l2_loss(variable) for variable in self._decayed])
            loss = tf.reduce_mean(losses) + config.l2 * decay
            if self._teacher is not None:
                wanted = self._teacher(images, training=False)
                loss += DISTILLATION * tf.reduce_mean(tf.square(logits - wanted))
        gradients = tape.gradient(loss, variables)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        hits = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
        return {"loss": loss, "accuracy": tf.reduce_mean(hits), "learning_rate": rate}
