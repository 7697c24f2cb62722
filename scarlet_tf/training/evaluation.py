"""Accuracy, confusion matrix and loss of a model on a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from scarlet_tf.backend import check_tensorflow
from scarlet_tf.data import ImageData
from scarlet_tf.progress import progress

check_tensorflow("scarlet_tf.training")

TOP = 5  # with this many classes or fewer, top-5 would always be 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metrics:
    """Results on `examples` images.

    Attributes:
        top1: share of images whose class scores highest.
        top5: share of images whose class is among the five best; None for five classes or fewer.
        balanced_accuracy: mean recall of the classes that have images.
        loss: mean cross-entropy in nats.
        recall: for each class name, the share of its images that are recognised; None for a class without images.
        confusion: number of images by true class (row) and predicted class (column), in label order.
    """

    top1: float
    top5: float | None
    balanced_accuracy: float
    loss: float
    examples: int
    recall: dict[str, float | None]
    confusion: list[list[int]]

    def to_dict(self) -> dict:
        """The metrics as JSON values."""
        return dataclasses.asdict(self)


def summarize_metrics(metrics: Mapping, *, classes: int) -> str:
    """Format recorded accuracies in one line, such as "top-1 0.9123, balanced 0.9100, top-5 0.9950".

    Args:
        metrics: the result of `Metrics.to_dict`, or an older record without balanced accuracy.
        classes: number of classes; with five or fewer, top-5 is omitted.
    """
    shown = {"top-1": metrics["top1"], "balanced": metrics.get("balanced_accuracy")}
    if classes > TOP:
        shown["top-5"] = metrics["top5"]
    return ", ".join(f"{name} {value:.4f}" for name, value in shown.items() if value is not None)


def metrics_of(confusion: np.ndarray, *, class_names: Sequence[str], top5: float, loss: float) -> Metrics:
    """Compute metrics from a confusion matrix, int (classes, classes), and two means over its images."""
    images = confusion.sum(axis=1)
    recall = [hits / count if count else None for hits, count in zip(np.diag(confusion), images, strict=True)]
    seen = [value for value in recall if value is not None]
    return Metrics(
        top1=float(np.trace(confusion) / images.sum()),
        top5=top5 if len(class_names) > TOP else None,
        balanced_accuracy=float(np.mean(seen)),
        loss=loss,
        examples=int(images.sum()),
        recall={
            name: value if value is None else float(value) for name, value in zip(class_names, recall, strict=True)
        },
        confusion=confusion.tolist(),
    )


def _ends_in_softmax(model: keras.Model) -> bool:
    last = model
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    return isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax


class Evaluator:
    """Evaluator of one model, which is traced once although its weights may change between evaluations.

    Args:
        model: classifier that returns logits, or the probabilities of a softmax.
        data: the dataset; images must have the model's input size.
        class_names: the model's, in output order. The dataset's classes are matched with them by name, and may be
            fewer. None: unknown; the outputs are then assumed to be the dataset's labels.

    Raises:
        ValueError: if the model's input does not fit the images, or its number of classes does not fit `class_names`
            or, without them, the dataset.
    """

    def __init__(self, model: keras.Model, data: ImageData, *, class_names: Sequence[str] | None = None) -> None:
        classes, images = model.output_shape[-1], (*data.config.image_shape, 3)
        known = data.num_classes if class_names is None else len(class_names)
        if classes != known:
            whose = repr(data.config.name) if class_names is None else "its list of class names"
            raise ValueError(f"model {model.name!r} has {classes} classes, but {whose} has {known}")
        if model.input_shape[1:] not in (images, (None, None, 3)):
            raise ValueError(
                f"model {model.name!r} expects input shape {model.input_shape[1:]}, but the images have shape {images}"
            )
        self._data = data
        self._class_names = class_names
        softmax = _ends_in_softmax(model)

        @tf.function(reduce_retracing=True, autograph=False)
        def judge(images, labels):
            outputs = tf.cast(model(images, training=False), tf.float32)
            log_probabilities = tf.math.log(outputs + 1e-30) if softmax else tf.nn.log_softmax(outputs)
            own = tf.gather(log_probabilities, labels[:, None], batch_dims=1)
            higher = tf.reduce_sum(tf.cast(log_probabilities > own, tf.int32), axis=1)
            sums = [
                tf.reduce_sum(tf.cast(higher < TOP, tf.float64)),
                -tf.reduce_sum(tf.cast(own, tf.float64)),
            ]
            return tf.argmax(log_probabilities, axis=1, output_type=tf.int32), tf.stack(sums)

        self._judge = judge

    def evaluate(self, split: str, *, batch_size: int = 500, limit: int | None = None) -> Metrics:
        """Evaluate the first `limit` images of a split, all by default.

        An image counts for top-5 if fewer than five classes score strictly higher than its label.

        Raises:
            DataError: if the split has images of classes that the model does not know; names them.
        """
        batches = self._data.eval_batches(split, batch_size, limit=limit)
        if self._class_names is None:
            return self.evaluate_batches(batches)
        outputs = tf.constant(self._data.outputs_of(split, self._class_names))
        return self.evaluate_batches((images, tf.gather(outputs, labels)) for images, labels in batches)

    def evaluate_batches(self, batches: Iterable) -> Metrics:
        """Evaluate batches of (images, labels) as `ImageData.eval_batches` returns; labels are the model's outputs."""
        names = self._data.class_names if self._class_names is None else self._class_names
        classes = len(names)
        confusion, total = np.zeros((classes, classes), np.int64), np.zeros(2)
        for images, labels in progress(batches, "evaluate", unit="batch"):
            predicted, sums = self._judge(images, labels)
            np.add.at(confusion, (labels.numpy(), predicted.numpy()), 1)
            total += sums.numpy()
        top5, loss = (total / confusion.sum()).tolist()
        return metrics_of(confusion, class_names=names, top5=top5, loss=loss)


def evaluate(
    model: keras.Model,
    data: ImageData,
    split: str,
    *,
    class_names: Sequence[str] | None = None,
    batch_size: int = 500,
    limit: int | None = None,
) -> Metrics:
    """Evaluate a model once; arguments and errors are those of `Evaluator` and `Evaluator.evaluate`."""
    return Evaluator(model, data, class_names=class_names).evaluate(split, batch_size=batch_size, limit=limit)
