"""The golden networks: built from the rule of tests/golden, named as the official PyTorch checkpoints name weights."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"

_FIXED = {
    "stem_conv": "stem.0",
    "stem_bn": "stem.1",
    "separable_depthwise_conv": "separable_conv.0",
    "separable_depthwise_bn": "separable_conv.1",
    "separable_project_conv": "separable_conv.3",
    "separable_project_bn": "separable_conv.4",
    "tail_conv": "conv_before_pooling.0",
    "tail_bn": "conv_before_pooling.1",
    "classifier": "classifier",
}
_IN_BLOCK = {
    "expand_conv": "conv1",
    "expand_bn": "bn1",
    "depthwise_conv": "conv2",
    "depthwise_bn": "bn2",
    "se_reduce": "mid_se.squeeze_conv",
    "se_expand": "mid_se.excite_conv",
    "project_conv": "conv3",
    "project_bn": "bn3",
}
_VARIABLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def _pytorch_key(name):
    layer, variable = name.split("/")
    block, _, part = layer.partition("_")
    module = _FIXED.get(layer) or f"mb_module.{int(block.removeprefix('block'))}.{_IN_BLOCK[part]}"
    return f"{module}.{_VARIABLES[variable]}"


def _keras_layout(array, name):
    """OIHW -> HWIO, a depthwise (C, 1, H, W) -> (H, W, C, 1), (out, in) -> (in, out)."""
    if array.ndim == 4:
        return array.transpose((2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0))
    return array.T


def _load_rule():
    spec = importlib.util.spec_from_file_location("golden_rule", GOLDEN / "rule.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", params=["scarlet_a", "scarlet_c"])
def golden(request):
    """name, weights by our names, PyTorch keys used, its shapes, images, stages, logits, float64 logits."""
    from scarlet_tf import zoo
    from scarlet_tf.models import build, get_weights

    rule = _load_rule()
    data = json.loads((GOLDEN / f"{request.param}.json").read_text())
    shapes = data["state_dict"]
    names = get_weights(build(zoo.get_spec(request.param)))
    keys = {name: _pytorch_key(name) for name in names}
    return SimpleNamespace(
        name=request.param,
        spec=zoo.get_spec(request.param),
        weights={name: _keras_layout(rule.fill(key, shapes[key]), name) for name, key in keys.items()},
        keys=set(keys.values()),
        shapes=shapes,
        images=rule.images(),
        stages=data["activation_mean_std_hw"],
        logits=np.load(GOLDEN / f"{request.param}_logits.npz")["logits"],
        float64_logits=np.load(GOLDEN / f"{request.param}_float64.npz")["logits"],
    )
