"""Batch-normalisation statistics for a model that was never trained."""

from __future__ import annotations

import keras
import numpy as np


def settle_batch_norms(model: keras.Model, images: np.ndarray) -> None:
    """Sets every moving mean and variance to those of one batch, float32 (B, H, W, C).

    With the initial statistics (0 and 1) the activations of an untrained network shrink from block to block, to logits
    of about 1e-11 in SCARLET-A: its softmax gives 1/classes for any image, and comparing such outputs shows nothing.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    try:
        model(images, training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
