"""A data set small enough for whole experiments in seconds, and what makes them take no longer."""

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.arch import SearchSpace
from scarlet_tf.data import DataConfig


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> DataConfig:
    """Two classes of 8x8 images that differ in brightness."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 2)):
        for label in range(2):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                image = rng.integers(0, 90, (8, 8, 3)) + 120 * label
                tf.io.write_file(str(folder / f"{index}.png"), tf.io.encode_png(image.astype(np.uint8)))
    return DataConfig(name=f"folder:{root}", image_size=8, search_validation=4)


@pytest.fixture
def tiny_space(monkeypatch, two_layer_space) -> SearchSpace:
    """In the place of every preset."""
    monkeypatch.setattr("scarlet_tf.reproduce.figure1.stand_in", lambda name: two_layer_space)
    return two_layer_space


@pytest.fixture
def uncompiled(monkeypatch):
    """A few steps are not worth a compilation."""
    monkeypatch.setattr(tf, "function", lambda run=None, **_: run or (lambda later: later))
