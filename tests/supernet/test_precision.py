"""A fair step computed in other ways: as one XLA program, and with maps of 16 bits."""

import numpy as np
import pytest
import tensorflow as tf
from fair_routes import constant_routes
from sixteen_bits import needs_sixteen_bits

from scarlet_tf.runs import loss_scale
from scarlet_tf.runs.loss_scale import LossScale
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet.fair_step import make_fair_step
from scarlet_tf.supernet.mixed import variable_key
from scarlet_tf.supernet.optimizer import MomentumSgd
from scarlet_tf.supernet.sampler import fair_paths
from scarlet_tf.supernet.supernet import Supernet

IMAGES = np.random.default_rng(3).standard_normal((8, 8, 8, 3)).astype(np.float32)
LABELS = np.arange(8) % 2


@pytest.fixture(scope="module")
def paths(one_layer_space):
    return fair_paths(0, 0, num_choices=one_layer_space.num_choices)


@pytest.fixture(scope="module")
def take_step(one_layer_space, randomised, paths):
    """Function (weights, how) -> loss, state of all, and the gradients, put where the weights are in a supernet."""

    def take(weights=None, **how):
        strategy = make_strategy("one_device")
        scale = LossScale() if how.get("precision") == "mixed_float16" else None
        with strategy.scope():
            supernet = randomised(Supernet(one_layer_space, seed=1))
            if weights:
                supernet.load_state(weights)
            optimizer = MomentumSgd(supernet.trainable_variables, momentum=0.9, weight_decay=0.0, loss_scale=scale)
        with pytest.MonkeyPatch.context() as patch:
            if not how.get("jit_compile"):  # one step is not worth a compilation
                patch.setattr(tf, "function", lambda **_: lambda step: step)
            step = make_fair_step(supernet, optimizer, strategy, shared_gradient="sum", **how)
        labels = tf.constant(LABELS, tf.int32)
        loss = step(tf.constant(IMAGES), labels, constant_routes(one_layer_space, paths), tf.constant(0.1))["loss"]
        state = supernet.state() | optimizer.state()
        gradients = {variable_key(v): state["velocity/" + variable_key(v)] for v in supernet.trainable_variables}
        holder = Supernet(one_layer_space)
        holder.load_state(holder.state() | gradients)
        return float(loss), state, holder

    return take


@pytest.fixture(scope="module")
def plain(take_step):
    return take_step()


@pytest.fixture(scope="module")
def exact(one_layer_space, randomised, paths, exact_paths):
    return exact_paths(randomised(Supernet(one_layer_space, seed=1)), paths, IMAGES, LABELS)


@pytest.fixture(scope="module")
def error(paths, exact, differences):
    """Function (loss, holder of gradients) -> the relative error of both against the float64 step."""

    def error(loss, holder):
        expected = np.mean([one.loss for one in exact])
        ours, theirs = (
            np.concatenate([array.ravel() for array in arrays])
            for arrays in zip(*differences(exact, paths, holder).values(), strict=True)
        )
        return abs(loss - expected) / expected, np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)

    return error


@pytest.mark.slow
def test_a_step_compiled_as_one_program_is_the_same_step(take_step, plain, error, step_limit, one_layer_space):
    loss, state, gradients = take_step(jit_compile=True)
    limit = step_limit(one_layer_space, IMAGES)
    assert max(error(loss, gradients)) < limit and max(error(plain[0], plain[2])) < limit
    largest = max(np.abs(array).max() for name, array in state.items() if name.startswith("velocity/"))
    for name, expected in plain[1].items():
        scale = largest if name.startswith("velocity/") else max(np.abs(expected).max(), 1.0)
        np.testing.assert_allclose(state[name], expected, atol=2 * limit * scale, err_msg=name)


@needs_sixteen_bits
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_maps_of_16_bits_give_nearly_the_same_update(
    take_step, plain, error, step_limit, one_layer_space, dtype, monkeypatch
):
    """Of 2 units of roundoff where products are summed in float32; on CPUs without such instructions of more."""
    monkeypatch.setattr(loss_scale, "FIRST_SCALE", 2.0**8)  # the true first one overflows here, and is halved
    loss, state, gradients = take_step(precision=f"mixed_{dtype}")
    assert loss != plain[0]
    assert max(error(loss, gradients)) < step_limit(one_layer_space, IMAGES, dtype)
    assert all(value.dtype == np.float32 for value in state.values())
    if dtype == "float16":
        assert state["loss_scale"] == 2.0**8 and state["loss_scale_steady"] == 1


def test_unknown_precision_names_the_nearest(take_step):
    with pytest.raises(ValueError, match=r"'bfloat16'.*'mixed_bfloat16'"):
        take_step(precision="bfloat16")


def test_loss_scale_skips_overflows_and_grows_again(monkeypatch):
    monkeypatch.setattr(loss_scale, "STEADY_STEPS", 2)
    variable, scale = tf.Variable([1.0]), LossScale()
    optimizer = MomentumSgd([variable], momentum=0.0, weight_decay=0.0, loss_scale=scale)
    first = float(loss_scale.FIRST_SCALE)
    seen = []
    for gradient in (np.inf, 3.0, np.nan, 1.0, 1.0, 1.0):
        optimizer.apply([tf.constant([gradient]) * scale.scale], tf.constant(0.5))
        seen.append((float(variable[0]), float(scale.scale) / first))
    assert seen == [(1.0, 0.5), (-0.5, 0.5), (-0.5, 0.25), (-1.0, 0.25), (-1.5, 0.5), (-2.0, 0.5)]
    again = MomentumSgd([tf.Variable([0.0])], momentum=0.0, weight_decay=0.0, loss_scale=LossScale())
    velocity = {"velocity/" + variable.name.split(":")[0]: np.zeros(1, np.float32)}
    again.load_state(optimizer.state() | velocity)
    assert float(again.loss_scale.scale) == first / 2 and float(again.loss_scale.steady) == 1


def test_statistics_outlive_an_overflow(take_step, one_layer_space, randomised):
    """Kernels of 3e4 make infinite feature maps in float16; the weights are kept, and so are the moving statistics."""
    huge = randomised(Supernet(one_layer_space, seed=1))
    for variable in huge.trainable_variables:
        if "gamma" not in variable.name and "beta" not in variable.name and "bias" not in variable.name:
            variable.assign(3e4 * tf.ones_like(variable))
    loss, state, _ = take_step(precision="mixed_float16", weights=huge.state())
    assert not np.isfinite(loss)
    for name, value in huge.state().items():
        assert np.isfinite(state[name]).all(), name
        if "moving" not in name:
            np.testing.assert_array_equal(state[name], value)
