"""BMP files with a palette of 8 bits, of which TensorFlow returns the indices as if they were grey.

Layout: https://learn.microsoft.com/windows/win32/gdi/bitmap-storage.
"""

from __future__ import annotations

import tensorflow as tf

_HEADERS = 54  # bytes: the file's header, and the shortest one of the image that has four bytes for a colour


def is_palette_bmp(encoded):
    """Return whether bytes are such a file, a bool tensor."""
    long_enough = tf.strings.length(encoded) > _HEADERS
    is_bmp = tf.logical_and(long_enough, tf.strings.substr(encoded, 0, 2) == b"BM")
    return tf.cond(is_bmp, lambda: tf.strings.substr(encoded, 28, 2) == b"\x08\x00", lambda: tf.constant(False))


def decode_palette_bmp(encoded, *, channels: int):
    """Return the colours of such a file, (H, W, channels) uint8; 1 channel is their luminance.

    Raises:
        tf.errors.InvalidArgumentError: for a damaged file, or a compressed one.
    """
    pixels_at, header, compression = (_integer(encoded, place) for place in (10, 14, 30))
    tf.debugging.assert_equal(compression, 0, "a compressed BMP")
    entries = tf.strings.substr(encoded, 14 + header, pixels_at - 14 - header)
    palette = tf.reshape(tf.io.decode_raw(entries, tf.uint8), (-1, 4))[:, 2::-1]  # stored as blue, green, red, 0
    indices = tf.cast(tf.io.decode_bmp(encoded)[..., 0], tf.int32)
    tf.debugging.assert_less(indices, tf.shape(palette)[0], "a colour that is not in the BMP's palette")
    colours = tf.gather(palette, indices)
    return colours if channels == 3 else tf.image.rgb_to_grayscale(colours)


def _integer(encoded, place: int):
    return tf.reshape(tf.io.decode_raw(tf.strings.substr(encoded, place, 4), tf.int32), ())
