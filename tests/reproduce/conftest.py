"""Fixtures for experiments of seconds: a tiny dataset, a tiny search space, and steps without compilation."""

import dataclasses

import pytest
import tensorflow as tf

from scarlet_tf.arch import SearchSpace
from scarlet_tf.arch.space import table_1
from scarlet_tf.data import DataConfig


@pytest.fixture(scope="session")
def tiny_data(bright_images) -> DataConfig:
    """Two classes of 8x8 images that differ in brightness."""
    root = bright_images(side=8, classes=2, train=12, test=2)
    return DataConfig(name=f"folder:{root}", image_size=8, search_validation=4)


@pytest.fixture
def tiny_space(monkeypatch, two_layer_space) -> SearchSpace:
    """In the place of every preset, with the paper's choices as these have."""
    space = dataclasses.replace(two_layer_space, choices=table_1())

    def stand_in(name: str, *, classes: int = 10) -> SearchSpace:
        return dataclasses.replace(space, classes=classes)

    monkeypatch.setattr("scarlet_tf.reproduce.settings.stand_in", stand_in)
    return space


@pytest.fixture
def uncompiled(monkeypatch):
    """A few steps are not worth a compilation."""
    monkeypatch.setattr(tf, "function", lambda run=None, **_: run or (lambda later: later))
