"""Preprocessing as part of the model."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def with_preprocessing(model: keras.Model, *, mean: Sequence[float], std: Sequence[float]) -> keras.Model:
    """A model that takes pixels, float32 0..255, and normalises them itself: (x / 255 - mean) / std per channel.

    Args:
        mean, std: one number a channel, of pixels over 255.
    """
    image = keras.Input(model.input_shape[1:], name="image")
    scale = [1.0 / (255.0 * value) for value in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return keras.Model(image, model(keras.layers.Rescaling(scale, offset, name="normalise")(image)), name=model.name)
