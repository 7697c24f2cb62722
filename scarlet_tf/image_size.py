"""Image sizes in pixels: one side for a square, or (height, width)."""

from __future__ import annotations

import re

ImageSize = int | tuple[int, int]


def canonical_image_size(value: object, *, what: str, error: type[ValueError] = ValueError) -> ImageSize:
    """Return a size in canonical form: an int for a square, else a tuple (height, width).

    Args:
        value: an int, or two ints in a tuple or, from JSON, a list.
        what: what the value is, for the message.

    Raises:
        error: for any other value, and for sides below 1.
    """
    sides = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    integers = all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides)
    if len(sides) != 2 or not integers:
        raise error(f"{what} must be an integer >= 1, or two of them as (height, width), got {value!r}")
    return sides[0] if sides[0] == sides[1] else sides


def height_and_width(size: ImageSize) -> tuple[int, int]:
    """Return the height and width of a size, in pixels."""
    return (size, size) if isinstance(size, int) else size


def parse_image_size(text: str | None) -> ImageSize | None:
    """Parse a flag: "224", or "224x160" for height x width; None stays None.

    Raises:
        ValueError: for other text, and for sides below 1.
    """
    if text is None:
        return None
    numbers = re.fullmatch(r"\s*([0-9]+)\s*(?:[xX\N{MULTIPLICATION SIGN}]\s*([0-9]+)\s*)?", text)
    if not numbers:
        raise ValueError(f"image_size must be one side in pixels, or HEIGHTxWIDTH such as 224x160, got {text!r}")
    height, width = numbers.groups()
    return canonical_image_size(int(height) if width is None else (int(height), int(width)), what="image_size")


def describe_image_size(size: ImageSize) -> str:
    """Return a size as text that `parse_image_size` reads: "224", or "224x160"."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))
