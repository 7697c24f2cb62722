"""Official state dicts with the values of tests/golden's rule."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def rule():
    spec = importlib.util.spec_from_file_location("golden_rule_of_convert", GOLDEN / "rule.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def official_shapes():
    """Shapes of the official checkpoint's tensors, in its order: name of a network -> {key: shape}."""
    return {
        name: json.loads((GOLDEN / f"{name}.json").read_text())["state_dict"] for name in ("scarlet_a", "scarlet_c")
    }


@pytest.fixture(scope="session")
def official(rule, official_shapes):
    """SCARLET-C's whole state dict, float32; the counters are int64, as PyTorch's are."""
    return {
        key: rule.fill(key, shape).astype("int64" if key.endswith("num_batches_tracked") else "float32")
        for key, shape in official_shapes["scarlet_c"].items()
    }


@pytest.fixture(scope="session")
def golden_logits():
    """SCARLET-C's, of those weights and the rule's images, in float64: (2, 1000)."""
    return np.load(GOLDEN / "scarlet_c_float64.npz")["logits"]
