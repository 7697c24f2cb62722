"""Batch-normalisation statistics for untrained models."""

from __future__ import annotations

import keras
import numpy as np

from scarlet_tf.models import measure_batch_norms


def settle_batch_norms(model: keras.Model, images: np.ndarray) -> None:
    """Set every moving mean and variance to the statistics of one batch, float32 (B, H, W, C).

    With the initial statistics (0 and 1), an untrained network's activations shrink from block to block, to logits of
    about 1e-11 in SCARLET-A. Its softmax then returns 1/classes for any image, so comparing outputs shows nothing.
    """
    measure_batch_norms(model, [images])
