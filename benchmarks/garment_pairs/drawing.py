"""Draw two garments at random places in one image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

VERSION = "2.0.0"  # of the images; another one for every change that changes them
SIDE = 48  # pixels
GARMENT = 28  # pixels
SCALES = (0.7, 1.2)
ANGLES = (-40.0, 40.0)  # degrees
MARGIN = 11.0  # pixels between a garment's centre and the border, at least
APART = 6.0  # pixels between the heights of the centres, at least
_OPAQUE = 64.0  # gray value from which a garment hides what is behind it


def draw_pair(upper: np.ndarray, lower: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw two garments at random places; a coin decides which one is in front.

    Scales, angles and centres are uniform in SCALES, ANGLES and between the MARGINs, the centres given that the upper
    one is higher than the lower one by APART or more. A mirrored image shows the same pair.

    Args:
        upper, lower: (28, 28) uint8, on a black ground.
        rng: generator of this image's draws.

    Returns:
        (48, 48) uint8.
    """
    low, high = MARGIN, SIDE - 1 - MARGIN
    rows = np.sort(rng.uniform(low, high - APART, 2)) + np.array([0.0, APART])
    columns = rng.uniform(low, high, 2)
    scales, angles = rng.uniform(*SCALES, 2), np.deg2rad(rng.uniform(*ANGLES, 2))
    placed = [
        _placed(garment, scale=scale, angle=angle, centre=centre)
        for garment, scale, angle, *centre in zip((upper, lower), scales, angles, rows, columns, strict=True)
    ]
    behind, front = placed if rng.integers(2) else reversed(placed)
    hidden = np.minimum(front / _OPAQUE, 1.0)
    return np.rint(behind * (1.0 - hidden) + front * hidden).astype(np.uint8)


def _placed(garment: np.ndarray, *, scale: float, angle: float, centre: list[float]) -> np.ndarray:
    """Return a garment, scaled and rotated around its middle, which lies at `centre` (row, column)."""
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.array([[cosine, -sine], [sine, cosine]])  # from the image's coordinates to the garment's
    offset = (GARMENT - 1) / 2 - matrix @ np.array(centre)
    return ndimage.affine_transform(garment.astype(np.float32), matrix, offset, (SIDE, SIDE), order=1)
