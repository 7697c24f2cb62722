"""Fixtures for experiments of seconds: a tiny dataset, a tiny search space, and steps without compilation."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from scarlet_tf.arch import SearchSpace
from scarlet_tf.arch.space import table_1
from scarlet_tf.data import DataConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def call_experiment():
    """Calls an experiment in a process of its own, from any folder: python -m benchmarks.NAME."""

    def call(name, *arguments, cwd, options=()):
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, *options, "-m", f"benchmarks.{name}", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120)

    return call


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

    monkeypatch.setattr("benchmarks.figure1.figure1_config.stand_in", stand_in)
    return space


@pytest.fixture
def uncompiled(monkeypatch):
    """A few steps are not worth a compilation."""
    monkeypatch.setattr(tf, "function", lambda run=None, **_: run or (lambda later: later))
