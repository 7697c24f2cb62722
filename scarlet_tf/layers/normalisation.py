"""Normalisation of pixels inside the network."""

from __future__ import annotations

from collections.abc import Sequence


def normalise(x, *, mean: Sequence[float], std: Sequence[float], keras, name: str):
    """Apply (x / 255 - mean) / std per channel: pixels (B, H, W, C), 0..255 -> the same shape.

    Args:
        mean, std: one number per channel, of pixels divided by 255.
    """
    scale = [1.0 / (255.0 * value) for value in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, name=name)(x)
