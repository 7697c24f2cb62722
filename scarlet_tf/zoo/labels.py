"""Names of ImageNet's 1,000 classes, for predictions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources

import numpy as np

IMAGENET_CLASSES = 1000


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Return (WordNet id, name) of every class, by label."""
    text = resources.files("scarlet_tf.zoo").joinpath("imagenet_classes.tsv").read_text(encoding="utf-8")
    return tuple((wordnet_id, name) for wordnet_id, name in (line.split("\t") for line in text.splitlines()))


def decode_predictions(preds, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return the `top` classes of every image, best first, as keras.applications does, but without a download.

    Args:
        preds: (B, 1000) array or tensor of scores.
        top: number of classes per image.

    Returns:
        For every image a list of (WordNet id, name, score).

    Raises:
        ValueError: for another shape.

    Example:
        >>> ((wordnet_id, name, score),) = decode_predictions(np.eye(1, 1000, 1), top=1)[0]
        >>> wordnet_id, name
        ('n01443537', 'goldfish')
    """
    if not isinstance(preds, (np.ndarray, Sequence)):
        import keras

        preds = keras.ops.convert_to_numpy(preds)  # a PyTorch tensor may have to be detached first
    preds = np.asarray(preds)
    if preds.ndim != 2 or preds.shape[1] != IMAGENET_CLASSES:
        raise ValueError(
            f"`decode_predictions` expects a batch of predictions (samples, {IMAGENET_CLASSES}). "
            f"Received array with shape {preds.shape}"
        )
    best = np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [
        [(*imagenet_classes()[label], scores[label]) for label in labels]
        for scores, labels in zip(preds, best, strict=True)
    ]
