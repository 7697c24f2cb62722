"""The golden networks: built from the rule of tests/golden, converted from the official checkpoints' names."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


def _load_rule():
    spec = importlib.util.spec_from_file_location("golden_rule", GOLDEN / "rule.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", params=["scarlet_a", "scarlet_c"])
def golden(request):
    """name, weights by our names, images, stages, logits, float64 logits."""
    from scarlet_tf import zoo
    from scarlet_tf.convert import from_state_dict

    rule = _load_rule()
    data = json.loads((GOLDEN / f"{request.param}.json").read_text())
    spec = zoo.get_spec(request.param)
    return SimpleNamespace(
        name=request.param,
        spec=spec,
        weights=from_state_dict(spec, {key: rule.fill(key, shape) for key, shape in data["state_dict"].items()}),
        images=rule.images(),
        stages=data["activation_mean_std_hw"],
        logits=np.load(GOLDEN / f"{request.param}_logits.npz")["logits"],
        float64_logits=np.load(GOLDEN / f"{request.param}_float64.npz")["logits"],
    )
