"""The networks against the official PyTorch models' numbers; tests/golden/README.md has the evidence for the limits."""

import keras
import numpy as np
import pytest
from rounding import UNIT, float64, rounded

from scarlet_tf.models import block_name, build, set_weights


def _stage_layers(model):
    """Stage of the golden run -> name of the layer whose output it is; identities give none."""
    names = {layer.name for layer in model.layers}
    stages = {"stem": "stem_relu6", "separable_conv": "separable_project_bn", "conv_before_pooling": "tail_relu6"}
    for index in range(19):
        ends = [f"{block_name(index)}_{end}" for end in ("pool", "project_bn", "add")]
        stages |= {f"mb_module.{index}": name for name in ends if name in names}  # the last one wins
    return stages


def _outputs(golden, weights, images):
    """Every stage's output and the logits."""
    model = build(golden.spec, classifier_activation=None)
    set_weights(model, weights)
    stages = {stage: model.get_layer(name).output for stage, name in _stage_layers(model).items()}
    results = keras.Model(model.input, {**stages, "logits": model.output})(images, training=False)
    return {stage: np.asarray(value) for stage, value in results.items()}


@pytest.fixture(scope="module")
def outputs(golden):
    return _outputs(golden, golden.weights, golden.images)


@pytest.fixture(scope="module")
def exact(golden):
    """The same in float64."""
    with float64():
        return _outputs(golden, golden.weights, golden.images.astype(np.float64))


@pytest.fixture(scope="module")
def error(golden, exact):
    """How wrong float32 may make every output: the differences that its rounding makes in float64."""
    with float64():
        wrong = _outputs(golden, rounded(golden.weights), golden.images.astype(np.float64))
    return {stage: wrong[stage] - value for stage, value in exact.items()}


@pytest.mark.slow
def test_logits(golden, outputs, exact, error):
    limit = 4 * np.abs(error["logits"]).std()
    assert limit < 1e-2 * np.abs(exact["logits"]).max()
    assert np.abs(outputs["logits"] - exact["logits"]).std() < limit
    assert np.abs(outputs["logits"] - golden.logits).std() < limit
    np.testing.assert_array_equal(outputs["logits"].argmax(-1), golden.logits.argmax(-1))


@pytest.mark.slow
def test_stages(golden, outputs, error):
    """Mean and standard deviation of every stage's output: they move by no more than its values do, in both."""
    identities = {f"mb_module.{i}" for i, block in enumerate(golden.spec.blocks) if block.kind == "identity"}
    assert set(golden.stages) - set(outputs) <= identities
    for stage, (mean, std, height, width) in golden.stages.items():
        if stage in outputs:
            assert outputs[stage].shape[1:3] == (height, width)
            limit = 2 * np.sqrt(np.mean(error[stage] ** 2))
            assert limit < 0.1 * std
            assert abs(outputs[stage].mean(dtype=np.float64) - mean) <= limit, stage
            assert abs(outputs[stage].std(dtype=np.float64) - std) <= limit, stage


@pytest.mark.slow
def test_float64_logits_are_pytorchs(golden, exact, error):
    """In float64 rounding is out of the way: what is left would be a difference of the networks."""
    assert exact["logits"].dtype == np.float64
    limit = 8 * np.abs(error["logits"]).max() * UNIT["float64"] / UNIT["float32"]
    assert np.abs(exact["logits"] - golden.float64_logits).max() <= limit
