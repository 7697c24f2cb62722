"""Supernets whose identity learns nothing, and without one: the baselines of Fig. 1."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from fair_routes import constant_routes
from rounding import network_limit

from scarlet_tf.arch import SpecError
from scarlet_tf.arch.space import table_1
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import InitConfig, PathEvaluator, Supernet, SupernetConfig
from scarlet_tf.supernet.fair_step import make_fair_step
from scarlet_tf.supernet.optimizer import MomentumSgd
from scarlet_tf.supernet.sampler import fair_paths

LABELS = np.arange(8) % 3


def space_with(tiny_space, identity):
    return tiny_space.with_identity(identity)


def randomised(space):
    """With BN values that a mistake in naming or order would show; LETs stay as they are."""
    supernet, rng = Supernet(space, seed=1), np.random.default_rng(0)
    for variable in supernet.variables:
        if "_bn/" in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return supernet


@pytest.mark.parametrize(("identity", "choices"), [("identity", 4), ("none", 3)])
def test_fair_pass_equals_each_paths_own_model(tiny_space, images, step_limit, identity, choices):
    supernet = randomised(space_with(tiny_space, identity))
    paths = fair_paths(5, 0, num_choices=supernet.space.num_choices)
    assert paths.shape == (choices, 3) and paths.max() == choices - 1
    logits = supernet.fair_logits(tf.constant(images), constant_routes(supernet.space, paths)).numpy()
    assert logits.shape == (choices, 8, 3)
    for path, ours in zip(paths, logits, strict=True):
        expected = supernet.extract(path)(images, training=True)
        limit = 2 * step_limit(tiny_space, images) * np.abs(expected).max()
        np.testing.assert_allclose(ours, expected, atol=limit)


@pytest.mark.parametrize("identity", ["identity", "none"])
def test_path_evaluator_equals_extracted_models(tiny_space, images, identity):
    supernet = randomised(space_with(tiny_space, identity))
    paths = fair_paths(5, 0, num_choices=supernet.space.num_choices)
    evaluated = PathEvaluator(supernet, bn="moving").logits(paths, images)
    for path, logits in zip(paths, evaluated, strict=True):
        expected = supernet.extract(path)(images)
        limit = 2 * network_limit(supernet.path_spec(path)) * np.abs(expected).max()
        np.testing.assert_allclose(logits, expected, atol=limit)


@pytest.mark.parametrize("identity", ["identity", "none"])
def test_a_step_trains_everything_but_a_plain_identity(tiny_space, images, identity, monkeypatch):
    monkeypatch.setattr(tf, "function", lambda **_: lambda step: step)  # one step is not worth a compilation
    space = space_with(tiny_space, identity)
    supernet = Supernet(space, seed=1)
    optimizer = MomentumSgd(supernet.trainable_variables, momentum=0.9, weight_decay=0.01)
    step = make_fair_step(supernet, optimizer, make_strategy("one_device"), shared_gradient="mean")
    paths = fair_paths(0, 0, num_choices=space.num_choices)
    before = supernet.state()
    step(tf.constant(images), tf.constant(LABELS, tf.int32), constant_routes(space, paths), tf.constant(0.1))
    after = supernet.state()
    unchanged = {name for name, value in after.items() if np.array_equal(value, before[name])}
    lets = {f"layer{layer:02d}/let" for layer in range(3)}
    assert unchanged == (lets if identity == "identity" else set())
    assert lets & set(after) == (set() if identity == "none" else lets)


def test_a_plain_identity_passes_channels_on_and_adds_zeros(tiny_space, images):
    supernet = Supernet(space_with(tiny_space, "identity"))
    kernel = supernet.layers[2].choice_weights(3)["let/kernel"]
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 8)).astype(np.float32)
    y = tf.nn.conv2d(x, kernel, 1, "VALID").numpy()
    np.testing.assert_array_equal(y[..., :8], x)
    np.testing.assert_array_equal(y[..., 8:], 0)


def test_the_other_weights_start_alike_in_all_three(tiny_space):
    starts = [Supernet(space_with(tiny_space, identity), seed=4).state() for identity in ("let", "identity", "none")]
    assert set(starts[0]) == set(starts[1]) == set(starts[2]) | {f"layer{layer:02d}/let" for layer in range(3)}
    for other in starts[1:]:
        for name, value in other.items():
            np.testing.assert_array_equal(value, starts[0][name], err_msg=name)


def test_the_other_weights_start_alike_however_lets_start(tiny_space):
    identity, normal = (
        Supernet(tiny_space, seed=4, init=InitConfig(let=let)).state() for let in ("identity", "normal")
    )
    lets = {f"layer{layer:02d}/let" for layer in range(3)}
    assert {name for name in identity if not np.array_equal(identity[name], normal[name])} == lets
    values = np.concatenate([normal[name].ravel() * np.sqrt(normal[name].shape[-1] / 2) for name in lets])
    assert abs(values.mean()) < 4 / np.sqrt(values.size) and abs(values.std() - 1) < 4 / np.sqrt(2 * values.size)
    assert len({normal[name].ravel()[0] for name in lets}) == 3  # not one draw for all


def test_a_space_without_identity_has_one_choice_less(tiny_space):
    space = space_with(tiny_space, "none")
    assert (space.num_choices, space.size, space.random(np.random.default_rng(0), 500).max()) == ((3, 3, 3), 27, 2)
    with pytest.raises(SpecError, match=r"gene 1 must be an integer in 0..2, got 3"):
        space.spec((0, 3, 0))
    with pytest.raises(SpecError, match=r"'identiy'.*nearest is 'identity'"):
        space_with(tiny_space, "identiy")
    with pytest.raises(ValueError, match=r"LET initialisation 'normal' needs"):
        Supernet(space, init=InitConfig(let="normal"))


def test_records_of_let_spaces_are_as_before_and_others_say_what_they_are(tiny_space, tiny_data):
    config = SupernetConfig(space=dataclasses.replace(tiny_space, choices=table_1()), data=tiny_data, steps=1)
    assert not {"identity", "choices", "layers"} & set(config.to_dict()["space"])
    for identity, recorded in (("let", "let"), ("identity", "plain"), ("none", "none")):
        variant = dataclasses.replace(config, space=space_with(config.space, identity))
        assert variant.to_dict()["space"].get("identity", "let") == recorded
        assert SupernetConfig.from_dict(variant.to_dict()) == variant
    other = dataclasses.replace(config, space=tiny_space)
    assert other.to_dict()["space"]["layers"][1]["choices"] == ["e3 k3", "e6 k5 se", "e3 k7", "let"]
    assert SupernetConfig.from_dict(other.to_dict()) == other
