"""What the published models expect of an image, as data (paper: "Training Strategy") and as a function."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """RGB uint8 pixels -> float32 (x / divisor - mean) / std per channel; evaluation by resize and centre crop.

    Attributes:
        resize, crop: the shorter side is resized to `resize` pixels, then a square of `crop` is cut from the middle;
            another resolution keeps their ratio.
    """

    channel_order: str = "RGB"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: int = 256
    crop: int = 224


IMAGENET_PREPROCESSING = Preprocessing()


def preprocess_input(x, data_format: str | None = None):
    """(x / 255 - mean) / std of RGB pixels, 0..255, with IMAGENET_PREPROCESSING's numbers, as keras.applications does.

    Args:
        x: array or tensor (B, H, W, 3) or (H, W, 3), of integers or floats. A float array is changed in place.
        data_format: "channels_last" or "channels_first"; default Keras's.

    Returns:
        The same kind of array or tensor, in Keras's float type where x holds integers.
    """
    import keras
    from keras.applications import imagenet_utils

    if not isinstance(x, np.ndarray) and "float" not in keras.backend.standardize_dtype(x.dtype):
        x = keras.ops.cast(x, keras.config.floatx())  # as Keras does with arrays, and forgets with tensors
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="torch")
