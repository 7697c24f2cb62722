"""The network in plain PyTorch against Keras, and as the last link of verify.py's chain."""

import json

import keras
import numpy as np
import pytest
from rounding import network_limit

from scarlet_tf.arch import get_space
from scarlet_tf.models import build, get_weights, measure_batch_norms

pytest.importorskip("torch", reason="the extra 'torch' is not installed")
from scarlet_tf.convert import StateDictError, checkpoint_function, to_state_dict, torch_function, write_checkpoint

SPEC = get_space("small").spec((12, 9, 7, 12, 11, 4))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    built = build(SPEC)
    measure_batch_norms(built, [np.random.default_rng(1).standard_normal((16, 32, 32, 3)).astype(np.float32)])
    return built


@pytest.mark.parametrize("side", [32, 45])
@pytest.mark.parametrize("softmax", [True, False])
def test_same_outputs(model, side, softmax):
    images = np.random.default_rng(0).standard_normal((4, side, side, 3)).astype(np.float32)
    same = build(SPEC, input_shape=(side, side, 3), classifier_activation="softmax" if softmax else None)
    same.set_weights(model.get_weights())
    expected = np.asarray(same(images))
    got = torch_function(SPEC, to_state_dict(SPEC, get_weights(model)), softmax=softmax)(images)
    assert np.ptp(expected, axis=0).max() > 0.01
    assert np.abs(got - expected).max() <= 2 * network_limit(SPEC) * np.abs(expected).max()


def test_a_checkpoint_in_the_chain(model, tmp_path, call_tool):
    SPEC.save(tmp_path / "spec.json")
    model.save_weights(tmp_path / "w.weights.h5")
    write_checkpoint(tmp_path / "w.pth", to_state_dict(SPEC, get_weights(model)))
    flags = ["--model=spec.json", "--weights=w.weights.h5", "--checkpoint=w.pth", "--dataset=fashion_mnist"]
    flags += [
        "--formats=float32",
        "--limit=20",
        "--representative_examples=5",
        "--output=report.json",
        "--card=card.md",
    ]
    result = call_tool("verify", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "report.json").read_text())["formats"]
    assert [row["path"] for row in rows] == ["float32.tflite", "w.pth"]
    assert max(row["relative_error"] for row in rows) <= 2 * network_limit(SPEC)
    assert rows[1]["bytes"] == (tmp_path / "w.pth").stat().st_size


def test_a_checkpoint_of_another_network(model, tmp_path):
    write_checkpoint(tmp_path / "w.pth", to_state_dict(SPEC, get_weights(model)))
    with pytest.raises(StateDictError, match=r"missing: mb_module\.0"):
        checkpoint_function(get_space("small").spec((3, 9, 7, 12, 11, 4)), tmp_path / "w.pth")
