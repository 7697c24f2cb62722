"""Weights and images of the golden runs, by rule."""

import zlib

import numpy as np


def fill(key, shape):
    """The float32 array that stands for a state_dict entry."""
    r = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.float32(0)
    if key.endswith("running_var"):
        value = r.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", "bias")):
        value = 0.1 * r.standard_normal(shape)
    elif len(shape) == 1:
        value = r.uniform(0.5, 1.5, shape)
    else:
        value = r.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return value.astype(np.float32)


def images():
    return np.random.default_rng(0).standard_normal((2, 224, 224, 3)).astype(np.float32)
