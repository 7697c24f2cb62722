"""What the published models expect of an image, as data (paper: "Training Strategy")."""

from __future__ import annotations

import dataclasses


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
