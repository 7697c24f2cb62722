"""A fair step computed in other ways: as one XLA program, and with maps of 16 bits."""

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.supernet import loss_scale
from scarlet_tf.supernet.loss_scale import LossScale
from scarlet_tf.supernet.optimizer import MomentumSgd
from scarlet_tf.supernet.sampler import fair_paths, routes
from scarlet_tf.supernet.step import make_fair_step
from scarlet_tf.supernet.supernet import Supernet
from scarlet_tf.training.strategy import make_strategy


@pytest.fixture(scope="module")
def take_step(two_layer_space):
    """One step from the same weights on the same batch, taken in some way: its loss, and all variables after it."""
    images = np.random.default_rng(3).standard_normal((8, 8, 8, 3)).astype(np.float32)
    paths = fair_paths(0, 0, num_layers=two_layer_space.num_layers, num_choices=13)

    def take(**how):
        strategy = make_strategy("one_device")
        scale = LossScale() if how.get("precision") == "mixed_float16" else None
        with strategy.scope():
            supernet = Supernet(two_layer_space, seed=1)
            optimizer = MomentumSgd(supernet.trainable_variables, momentum=0.9, weight_decay=0.01, loss_scale=scale)
        step = make_fair_step(supernet, optimizer, strategy, shared_gradient="sum", **how)
        labels = tf.constant(np.arange(8) % 2, tf.int32)
        loss = step(tf.constant(images), labels, tf.constant(routes(paths)), tf.constant(0.1))["loss"]
        return float(loss), supernet.state() | optimizer.state()

    return take


@pytest.fixture(scope="module")
def plain(take_step):
    return take_step()


@pytest.mark.slow
def test_a_step_compiled_as_one_program_is_the_same_step(take_step, plain):
    loss, state = take_step(jit_compile=True)
    assert loss == pytest.approx(plain[0], rel=1e-5)
    for name, expected in plain[1].items():
        scale = max(np.abs(expected).max(), 1e-2)
        np.testing.assert_allclose(state[name] / scale, expected / scale, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("precision", "error"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)])
def test_maps_of_16_bits_give_nearly_the_same_update(take_step, plain, precision, error, monkeypatch):
    monkeypatch.setattr(loss_scale, "FIRST", 2.0**8)  # the true first one overflows here, and is halved
    loss, state = take_step(precision=precision)
    assert loss != plain[0] and loss == pytest.approx(plain[0], rel=error)
    names = [name for name in plain[1] if name.startswith("velocity/")]
    ours, expected = (np.concatenate([s[name].ravel() for name in names]) for s in (state, plain[1]))
    assert np.linalg.norm(ours - expected) < error * np.linalg.norm(expected)
    assert all(value.dtype == np.float32 for value in state.values())
    if precision == "mixed_float16":
        assert state["loss_scale"] == 2.0**8 and state["loss_scale_steady"] == 1


def test_unknown_precision_names_the_nearest(take_step):
    with pytest.raises(ValueError, match=r"'bfloat16'.*'mixed_bfloat16'"):
        take_step(precision="bfloat16")


def test_loss_scale_skips_overflows_and_grows_again(monkeypatch):
    monkeypatch.setattr(loss_scale, "STEADY", 2)
    variable, scale = tf.Variable([1.0]), LossScale()
    optimizer = MomentumSgd([variable], momentum=0.0, weight_decay=0.0, loss_scale=scale)
    first = float(loss_scale.FIRST)
    seen = []
    for gradient in (np.inf, 3.0, np.nan, 1.0, 1.0, 1.0):
        optimizer.apply([tf.constant([gradient]) * scale.scale], tf.constant(0.5))
        seen.append((float(variable[0]), float(scale.scale) / first))
    assert seen == [(1.0, 0.5), (-0.5, 0.5), (-0.5, 0.25), (-1.0, 0.25), (-1.5, 0.5), (-2.0, 0.5)]
    again = MomentumSgd([tf.Variable([0.0])], momentum=0.0, weight_decay=0.0, loss_scale=LossScale())
    velocity = {"velocity/" + variable.name.split(":")[0]: np.zeros(1, np.float32)}
    again.load_state(optimizer.state() | velocity)
    assert float(again.loss_scale.scale) == first / 2 and float(again.loss_scale.steady) == 1
