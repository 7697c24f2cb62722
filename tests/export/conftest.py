"""Weights that would show a fold's mistake: every array random, BN's statistics included."""

import numpy as np
import pytest

from scarlet_tf.models import build, get_weights


@pytest.fixture(scope="session")
def random_weights():
    """Function (spec, seed) -> weights by name, float32, scaled so that activations keep their size."""
    return _random_weights


def _random_weights(spec, seed):
    rng = np.random.default_rng(seed)
    draw = {
        "gamma": lambda shape: rng.uniform(0.5, 1.5, shape),
        "moving_variance": lambda shape: rng.uniform(0.5, 1.5, shape),
        "kernel": lambda shape: rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1])),
    }
    small = lambda shape: 0.1 * rng.standard_normal(shape)  # noqa: E731
    weights = {}
    for name, array in get_weights(build(spec)).items():
        shape = array.shape
        value = draw.get(name.split("/")[1], small)(shape)
        if "depthwise_conv" in name:
            value *= np.sqrt(shape[2])  # a depthwise kernel (k, k, c, 1) sums over k*k only
        weights[name] = value.astype(np.float32)
    return weights
