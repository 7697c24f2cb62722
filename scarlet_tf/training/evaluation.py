"""Accuracy and loss of a model on a split."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from scarlet_tf.data import ImageData


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metrics:
    """Attributes: top1 and top5 in [0, 1], loss: mean cross-entropy in nats, over `examples` images."""

    top1: float
    top5: float
    loss: float
    examples: int


def evaluate(
    model: keras.Model, data: ImageData, split: str, *, batch_size: int = 500, limit: int | None = None
) -> Metrics:
    """Evaluates a model whose classifier gives logits, or probabilities by softmax.

    Top-5 counts a label that fewer than five classes score strictly higher than.

    Raises:
        ValueError: where the model's input or its number of classes is not the data's.
    """
    side, classes = data.config.image_size, data.num_classes
    if model.output_shape[-1] != classes:
        raise ValueError(
            f"model {model.name!r} has {model.output_shape[-1]} classes, {data.config.name!r} has {classes}"
        )
    if model.input_shape[1:] not in ((side, side, 3), (None, None, 3)):
        raise ValueError(f"model {model.name!r} takes {model.input_shape[1:]}, the images are {(side, side, 3)}")
    softmax = getattr(model.layers[-1], "activation", None) is keras.activations.softmax

    @tf.function(reduce_retracing=True)
    def sums(images, labels):
        outputs = tf.cast(model(images, training=False), tf.float32)
        log_probabilities = tf.math.log(outputs + 1e-30) if softmax else tf.nn.log_softmax(outputs)
        own = tf.gather(log_probabilities, labels[:, None], batch_dims=1)
        higher = tf.reduce_sum(tf.cast(log_probabilities > own, tf.int32), axis=1)
        right = tf.argmax(log_probabilities, axis=1, output_type=tf.int32) == labels
        counts = [tf.reduce_sum(tf.cast(hit, tf.float64)) for hit in (right, higher < 5)]
        return tf.stack([*counts, -tf.reduce_sum(tf.cast(own, tf.float64)), tf.cast(tf.size(labels), tf.float64)])

    total = np.zeros(4)
    for images, labels in data.eval_batches(split, batch_size, limit=limit):
        total += sums(images, labels).numpy()
    top1, top5, loss = (total[:3] / total[3]).tolist()
    return Metrics(top1=top1, top5=top5, loss=loss, examples=int(total[3]))
