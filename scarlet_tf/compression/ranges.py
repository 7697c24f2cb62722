"""Ranges of activations: measured on images, and stored in qat.npz as named float32 scalars."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from scarlet_tf.compression.config import CompressionError
from scarlet_tf.files import write_atomically

FILE = "qat.npz"
INPUT = "image"  # stands for the network's input among the names of layers
Ends = dict[str, tuple[float, float]]  # of ranges, by the name of the layer with that output

# What a range may be narrowed to, as a fraction of the range seen.
_SHARES = np.linspace(0.3, 1.0, 29)
_BATCH, _VALUES_A_BATCH = 16, 8192  # images per batch, and values sampled of an activation per batch


def measure_ranges(twin, layers: Sequence[str], images: np.ndarray) -> tuple[Ends, Ends]:
    """Measure the activations of a float network in inference, as post-training quantisation does.

    Args:
        twin: a tf_keras model, see `make_twin`.
        layers: names of the layers whose outputs are measured.
        images: float32 (n, H, W, C), as the network takes them.

    Returns:
        Two ranges for every layer and for the INPUT, both of which contain 0. The first is the full range seen, which
        TFLite's own calibrator takes. The second is the part of it with the least squared error of rounding and
        clipping, estimated from a sample; the INPUT keeps its full range.
    """
    probe = tf_keras.Model(twin.input, [twin.get_layer(name).output for name in layers])
    compute = tf.function(lambda batch: probe(batch, training=False), reduce_retracing=True, autograph=False)
    rng = np.random.default_rng(0)
    least, most, samples = np.zeros(len(layers)), np.zeros(len(layers)), [[] for _ in layers]
    for start in range(0, len(images), _BATCH):
        outputs = tf.nest.flatten(compute(images[start : start + _BATCH]))
        for index, output in enumerate(outputs):
            values = output.numpy().ravel()
            least[index] = min(least[index], values.min())
            most[index] = max(most[index], values.max())
            samples[index].append(values[rng.integers(0, len(values), _VALUES_A_BATCH)])
    seen = {name: (float(low), float(high)) for name, low, high in zip(layers, least, most, strict=True)}
    fitted = {name: _narrowed(np.concatenate(kept), *seen[name]) for name, kept in zip(layers, samples, strict=True)}
    pixels = {INPUT: (min(0.0, float(images.min())), max(0.0, float(images.max())))}
    return seen | pixels, fitted | pixels


def _narrowed(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the part of a range whose int8 values are closest to `values`."""
    if low == high:
        return low, high
    errors = [np.square(_rounded(values, share * low, share * high) - values).sum() for share in _SHARES]
    share = float(_SHARES[int(np.argmin(errors))])
    return share * low, share * high


def _rounded(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Round to int8 and back, with an integer zero point."""
    scale = (high - low) / 255
    zero = np.round(-low / scale)
    return (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale


def write_ranges(path: str | os.PathLike, ranges: Mapping[str, np.ndarray]) -> None:
    """Write the file atomically."""
    write_atomically(path, lambda file: np.savez(file, **ranges))


def read_ranges(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a file of `write_ranges`; CompressionError names a missing or damaged file."""
    path = Path(path)
    if not path.is_file():
        raise CompressionError(f"{path.parent} was not trained with --qat: it has no {path.name}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise CompressionError(f"{path} is damaged: {error}") from error
