"""Strict fairness, against independent evidence: each path's gradient as its own Keras model has it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from fair_routes import constant_routes
from rounding import rounding_limit

from scarlet_tf.arch import choices_from
from scarlet_tf.arch.space import table_1
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import blocks
from scarlet_tf.supernet.fair_step import make_fair_step
from scarlet_tf.supernet.mixed import BN_MOMENTUM
from scarlet_tf.supernet.optimizer import MomentumSgd, is_decayed
from scarlet_tf.supernet.sampler import fair_paths
from scarlet_tf.supernet.supernet import Supernet

LABELS = np.arange(8) % 3


@pytest.fixture(scope="module")
def paths(tiny_space):
    return fair_paths(0, 0, num_choices=tiny_space.num_choices)


def losses_of_paths(supernet, images, paths):
    """(paths,) losses."""
    logits = supernet.fair_logits(tf.constant(images), constant_routes(supernet.space, paths))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.broadcast_to(LABELS, logits.shape[:2]), logits)
    return tf.reduce_mean(losses, axis=1)


def gradients_by_name(supernet, gradients):
    """Puts gradients where the weights are, and reads them under the stand-alone models' names."""
    holder = Supernet(supernet.space)
    for variable, gradient in zip(holder.trainable_variables, gradients, strict=True):
        variable.assign(tf.zeros_like(variable) if gradient is None else gradient)
    return holder


def test_every_choice_gets_a_gradient_from_exactly_one_path(supernet, images, paths, tiny_space):
    with tf.GradientTape(persistent=True) as tape:
        losses = tf.unstack(losses_of_paths(supernet, images, paths))
    choices = max(tiny_space.num_choices)
    counts = np.zeros((tiny_space.num_layers, choices), int)
    for path, loss in zip(paths, losses, strict=True):
        holder = gradients_by_name(supernet, tape.gradient(loss, supernet.trainable_variables))
        for layer in range(tiny_space.num_layers):
            for choice in range(choices):
                weights = holder.layers[layer].choice_weights(choice)
                kernels = [np.abs(v).max() for name, v in weights.items() if name.endswith("kernel")]
                touched = [size > 0 for size in kernels]
                assert any(touched) == all(touched) == (path[layer] == choice)
                counts[layer, choice] += all(touched)
    np.testing.assert_array_equal(counts, 1)


@pytest.fixture(scope="module")
def exact(tiny_space, randomised, paths, images, exact_paths):
    """The paths of the fixture `supernet` as it was made."""
    return exact_paths(randomised(Supernet(tiny_space, seed=1)), paths, images, LABELS)


UNEVEN = choices_from(
    ["e4 k3", "e2 k9 se", "fused_inverted_residual e4 k5 relu6", "let"],
    ["e3 k3", "e3 k5 se", "identity"],
    ["e1 k3", "let"],
)


@pytest.mark.parametrize("choices", [table_1(), UNEVEN], ids=["the paper's", "uneven"])
def test_a_paths_gradient_is_that_of_its_own_keras_model(
    tiny_space, choices, randomised, images, exact_paths, differences, step_limit
):
    """In float64; the supernet is in float32. A plain identity's kernel is no weight that could get a gradient."""
    space = dataclasses.replace(tiny_space, choices=choices)
    supernet = randomised(Supernet(space, seed=1))
    paths = fair_paths(0, 0, num_choices=space.num_choices)
    exact = exact_paths(supernet, paths, images, LABELS)
    limit = step_limit(space, images)
    with tf.GradientTape() as tape:
        losses = losses_of_paths(supernet, images, paths)
        total = tf.reduce_sum(losses)
    np.testing.assert_allclose(losses, [one.loss for one in exact], rtol=limit)
    whole = gradients_by_name(supernet, tape.gradient(total, supernet.trainable_variables))
    for name, (ours, expected) in differences(exact, paths, whole).items():
        if name.endswith("let/kernel") and not supernet.layers[int(name.split("block")[1][:2])].let.trainable:
            continue
        np.testing.assert_allclose(ours, expected, atol=limit * max(1.0, np.abs(expected).max()), err_msg=name)


@pytest.mark.parametrize(("shared_gradient", "recompute"), [("sum", False), ("mean", True)])
def test_one_update_a_step_as_set(
    tiny_space, images, paths, randomised, shared_gradient, recompute, step_limit, monkeypatch
):
    strategy = make_strategy("one_device")
    with strategy.scope():
        supernet = randomised(Supernet(tiny_space, seed=1))
        optimizer = MomentumSgd(supernet.trainable_variables, momentum=0.9, weight_decay=0.01)
    before = supernet.state()
    variables = supernet.trainable_variables
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(losses_of_paths(supernet, images, paths))
    expected = tape.gradient(total, variables)
    supernet.load_state(before)  # the forward pass moved the BN statistics
    block, calls = blocks._block_with_moments, []
    monkeypatch.setattr(blocks, "_block_with_moments", lambda *a, **k: calls.append(1) or block(*a, **k))
    step = make_fair_step(supernet, optimizer, strategy, shared_gradient=shared_gradient, recompute=recompute)
    step(tf.constant(images), tf.constant(LABELS, tf.int32), constant_routes(tiny_space, paths), tf.constant(0.1))
    assert len(calls) == 3 * 3 * (2 if recompute else 1)
    shared = {v.name for v in supernet.shared_variables}
    # Both gradients are rounded; each weight itself in the product with its decay and in two sums.
    limits = 2 * step_limit(tiny_space, images), rounding_limit(3)
    for variable, gradient in zip(variables, expected, strict=True):
        start = before[variable.name.split(":")[0]]
        scale = 1 / len(paths) if variable.name in shared and shared_gradient == "mean" else 1.0
        decay = 0.01 * start if is_decayed(variable) else 0.0
        limit = np.dot(limits, [0.1 * max(1.0, np.abs(gradient).max()), np.abs(start).max()])
        np.testing.assert_allclose(
            variable.numpy(), start - 0.1 * (gradient * scale + decay), atol=limit, err_msg=variable.name
        )


def test_moving_statistics_of_a_choice_follow_its_own_path(tiny_space, images, paths, randomised, exact, step_limit):
    supernet = randomised(Supernet(tiny_space, seed=1))
    losses_of_paths(supernet, images, paths)
    for path, one in zip(paths, exact, strict=True):
        weights = supernet.path_weights(path)
        for name, expected in one.moving.items():
            if name.startswith("block"):
                # Keras also keeps the biased variance; and so do we.
                limit = step_limit(tiny_space, images) * np.abs(expected).max()
                np.testing.assert_allclose(weights[name], expected, atol=limit, err_msg=name)
    assert BN_MOMENTUM == 0.9


def test_unknown_shared_gradient_names_the_nearest(supernet):
    with pytest.raises(ValueError, match=r"'meen'.*nearest is 'mean'"):
        make_fair_step(supernet, None, make_strategy("one_device"), shared_gradient="meen")


def test_optimizer_is_pytorch_sgd():
    variables = [tf.Variable([1.0, -2.0], name="a_conv"), tf.Variable([3.0], name="b_bn/gamma")]
    optimizer = MomentumSgd(variables, momentum=0.9, weight_decay=0.1)
    weights, velocity = [np.array([1.0, -2.0]), np.array([3.0])], [np.zeros(2), np.zeros(1)]
    for gradient in (0.5, -1.0, 2.0):
        optimizer.apply([tf.constant([gradient] * 2), tf.constant([gradient])], tf.constant(0.2))
        for i, decay in enumerate((0.1, 0.0)):
            velocity[i] = 0.9 * velocity[i] + gradient + decay * weights[i]
            weights[i] = weights[i] - 0.2 * velocity[i]
    for variable, expected in zip(variables, weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=rounding_limit(9))  # three steps of three sums
