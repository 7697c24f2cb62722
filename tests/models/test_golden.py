"""The networks against the official PyTorch models' numbers; tests/golden/README.md has the evidence for the limits."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from scarlet_tf.models import block_name, build, set_weights

FLOAT32_LIMIT = {"scarlet_a": 2e-3, "scarlet_c": 5e-5}


def _stage_layers(model):
    """Stage of the golden run -> name of the layer whose output it is; identities give none."""
    names = {layer.name for layer in model.layers}
    stages = {"stem": "stem_relu6", "separable_conv": "separable_project_bn", "conv_before_pooling": "tail_relu6"}
    for index in range(19):
        ends = [f"{block_name(index)}_{end}" for end in ("pool", "project_bn", "add")]
        stages |= {f"mb_module.{index}": name for name in ends if name in names}  # the last one wins
    return stages


@pytest.fixture(scope="module")
def outputs(golden):
    model = build(golden.spec, classifier_activation=None)
    set_weights(model, golden.weights)
    stages = {stage: model.get_layer(name).output for stage, name in _stage_layers(model).items()}
    results = keras.Model(model.input, {**stages, "logits": model.output})(golden.images, training=False)
    return {stage: np.asarray(value) for stage, value in results.items()}


def test_logits(golden, outputs):
    error = np.abs(outputs["logits"] - golden.logits).max() / np.abs(golden.logits).max()
    assert error <= FLOAT32_LIMIT[golden.name]
    np.testing.assert_array_equal(outputs["logits"].argmax(-1), golden.logits.argmax(-1))


def test_stages(golden, outputs):
    """Mean and standard deviation of every stage's output, relative to that deviation."""
    identities = {f"mb_module.{i}" for i, block in enumerate(golden.spec.blocks) if block.kind == "identity"}
    assert set(golden.stages) - set(outputs) <= identities
    for stage, (mean, std, height, width) in golden.stages.items():
        if stage in outputs:
            assert outputs[stage].shape[1:3] == (height, width)
            assert abs(outputs[stage].mean(dtype=np.float64) - mean) <= 2e-5 * std, stage
            assert abs(outputs[stage].std(dtype=np.float64) - std) <= 2e-5 * std, stage


_FLOAT64 = """
import sys, numpy as np, keras
keras.config.set_floatx("float64")
from scarlet_tf import zoo
from scarlet_tf.models import build, set_weights
data = dict(np.load(sys.argv[1]))
images = data.pop("images").astype(np.float64)
model = build(zoo.get_spec(sys.argv[2]), classifier_activation=None)
set_weights(model, {name.replace("|", "/"): array for name, array in data.items()})
np.save(sys.argv[3], np.asarray(model(images, training=False)))
"""


@pytest.mark.slow
def test_float64_logits_are_pytorchs(golden, tmp_path):
    """In float64 rounding is out of the way: what is left would be a difference of the networks."""
    arrays = {name.replace("/", "|"): array for name, array in golden.weights.items()}
    np.savez(tmp_path / "in.npz", images=golden.images, **arrays)
    arguments = [str(tmp_path / "in.npz"), golden.name, str(tmp_path / "out.npy")]
    subprocess.run([sys.executable, "-c", _FLOAT64, *arguments], check=True, capture_output=True)
    logits = np.load(tmp_path / "out.npy")
    assert logits.dtype == np.float64
    assert np.abs(logits - golden.float64_logits).max() / np.abs(golden.float64_logits).max() <= 1e-9
