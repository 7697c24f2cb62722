"""Re-estimation of batch-normalisation statistics."""

from __future__ import annotations

from collections.abc import Iterable

import keras


def measure_batch_norms(model: keras.Model, batches: Iterable) -> None:
    """Set all moving means and variances to their averages over some batches, float32 (B, H, W, C) each.

    With a single batch they are exactly the statistics that training mode normalises it with.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    try:
        for done, images in enumerate(batches):
            for layer in norms:
                layer.momentum = done / (done + 1)
            model(images, training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
