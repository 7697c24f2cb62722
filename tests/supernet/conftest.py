"""A search space and a data set small enough to train in seconds."""

import numpy as np
import pytest

from scarlet_tf.arch import SearchSpace
from scarlet_tf.data import DataConfig
from scarlet_tf.supernet import Supernet

TINY = SearchSpace(
    name="tiny",
    out_channels=(8, 8, 12),
    strides=(1, 1, 2),
    resolution=16,
    stem_channels=8,
    first_channels=8,
    tail_channels=16,
    classes=3,
    dropout=0.0,
)


@pytest.fixture(scope="session")
def tiny_space() -> SearchSpace:
    return TINY


@pytest.fixture(scope="session")
def tiny_data(bright_images) -> DataConfig:
    """Three classes of 16x16 images that differ in brightness."""
    root = bright_images(side=16, classes=3, train=20, test=4)
    return DataConfig(name=f"folder:{root}", image_size=16, search_validation=12)


def randomise(supernet: Supernet, seed: int = 0) -> Supernet:
    """Gives every BN and bias a value that a mistake in naming or order would show."""
    rng = np.random.default_rng(seed)
    for variable in supernet.variables:
        if "gamma" in variable.name or "moving_variance" in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif "_bn/" in variable.name or "bias" in variable.name or "/let" in variable.name:
            variable.assign(0.3 * rng.standard_normal(variable.shape))
    return supernet


@pytest.fixture(scope="module")
def supernet(tiny_space) -> Supernet:
    return randomise(Supernet(tiny_space, seed=1))


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((8, 16, 16, 3)).astype(np.float32)
