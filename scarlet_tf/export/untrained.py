"""Batch-normalisation statistics for a model that was never trained."""

from __future__ import annotations

import keras
import numpy as np

from scarlet_tf.models import measure_batch_norms


def settle_batch_norms(model: keras.Model, images: np.ndarray) -> None:
    """Sets every moving mean and variance to those of one batch, float32 (B, H, W, C).

    With the initial statistics (0 and 1) the activations of an untrained network shrink from block to block, to logits
    of about 1e-11 in SCARLET-A: its softmax gives 1/classes for any image, and comparing such outputs shows nothing.
    """
    measure_batch_norms(model, [images])
