"""The examples in docstrings, but for those that need a trained supernet, a device, or files of a run."""

import doctest
import importlib

import numpy as np
import pytest

from scarlet_tf.zoo import registry

MODULES = (
    "arch.block",
    "arch.choice",
    "arch.counting",
    "arch.parts",
    "arch.scaling",
    "arch.space",
    "arch.spec",
    "compression.config",
    "convert.pytorch",
    "data.data_config",
    "export.fold",
    "latency.android_settings",
    "models.features",
    "report.drawing",
    "search.objectives",
    "search.operators",
    "supernet.scale",
    "training.config",
    "zoo.labels",
    "zoo.registry",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))  # which an example adds to
    module = importlib.import_module(f"scarlet_tf.{name}")
    result = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted and not result.failed
