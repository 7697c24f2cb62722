"""Preprocessing as part of an exported model."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from scarlet_tf.layers import normalise


def with_preprocessing(model: keras.Model, *, mean: Sequence[float], std: Sequence[float]) -> keras.Model:
    """Return a model that takes pixels, float32 0..255, and normalises them itself; see `layers.normalise`.

    Args:
        model: a model that takes normalised images.
        mean, std: one number per channel, of pixels over 255.
    """
    image = keras.Input(model.input_shape[1:], name="image")
    pixels = normalise(image, mean=mean, std=std, keras=keras, name="normalise")
    return keras.Model(image, model(pixels), name=model.name)
