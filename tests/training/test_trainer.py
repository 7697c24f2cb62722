import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from rounding import rounding_limit

from scarlet_tf.arch import ArchSpec, get_space
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.training.config import TrainConfigError, train_config
from scarlet_tf.training.evaluation import evaluate
from scarlet_tf.training.fused import fused
from scarlet_tf.training.step import TrainState
from scarlet_tf.training.trainer import train
from scarlet_tf.zoo import load_keras_file


@pytest.fixture(scope="module")
def finished(runs, pictures, tmp_path_factory):
    output = tmp_path_factory.mktemp("finished")
    return output, runs.tiny_run(pictures, output, epochs=10)


def test_it_learns_and_leaves_a_whole_result(runs, pictures, finished):
    output, result = finished
    assert sorted(path.name for path in output.iterdir()) == [
        *("confusion.png", "curves.png", "log.jsonl", "model.keras", "spec.json", "tensorboard", "training.json")
    ]
    assert json.loads((output / "training.json").read_text()) == result
    assert ArchSpec.load(output / "spec.json") == runs.tiny_spec()
    assert result["steps"] == 40 and result["output"] == "logits" and result["seconds"] > 0
    assert result["data"]["augment"] == "flip_crop" and result["config"]["batch_size"] == 12
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 41))
    assert lines[-1]["loss"] < 0.6 < lines[0]["loss"]
    assert result["test"]["examples"] == 12 and result["test"]["top1"] > 0.8


def test_the_saved_model_gives_the_reported_metrics(runs, pictures, finished):
    output, result = finished
    data = open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16))
    metrics = evaluate(load_keras_file(output / "model.keras"), data, "test", batch_size=5)
    assert metrics.top1 == result["test"]["top1"]
    assert metrics.loss == pytest.approx(result["test"]["loss"], rel=1e-5)


def test_a_finished_run_is_returned_and_another_refused(runs, pictures, finished):
    output, result = finished
    before = (output / "model.keras").stat().st_mtime_ns
    assert runs.tiny_run(pictures, output, epochs=10) == result
    with pytest.raises(
        TrainConfigError, match=r"has the result of a run with other settings \(config.seed was 0, is 1\):"
    ):
        runs.tiny_run(pictures, output, epochs=10, seed=1)
    weights = {name: array + 0.01 for name, array in runs.saved_weights(output).items()}
    with pytest.raises(TrainConfigError, match=r"other settings \(the initial weights\):"):
        runs.tiny_run(pictures, output, epochs=10, weights=weights)
    assert (output / "model.keras").stat().st_mtime_ns == before


def test_training_starts_from_inherited_weights(runs, pictures, tmp_path):
    """At a learning rate of next to nothing the trained weights are those given."""
    model = build(runs.tiny_spec())
    given = {name: array + 0.01 for name, array in get_weights(model).items()}
    config = train_config("small", batch_size=12, epochs=0.5, learning_rate=1e-12, augment="flip_crop")
    data = open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16, augment="flip_crop"))
    result = train(runs.tiny_spec(), data, config, output=tmp_path, weights=given)
    assert result["inherited_weights"] and result["steps"] == 2
    for name, array in runs.saved_weights(tmp_path).items():
        if "moving" not in name:
            np.testing.assert_allclose(array, given[name], atol=1e-6, err_msg=name)


def test_misfits_are_named(runs, pictures, tmp_path):
    data = open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16, augment="flip_crop"))
    config = train_config("small", batch_size=12, augment="flip_crop")
    ten_classes = get_space("small").spec((12,) * 6)
    with pytest.raises(TrainConfigError, match=r"has 10 classes, but 'folder:.*' has 3"):
        train(ten_classes, data, config, output=tmp_path)
    with pytest.raises(TrainConfigError, match="got 'none' for training and 'flip_crop' for data"):
        train(runs.tiny_spec(), data, train_config("small", batch_size=12, augment="none"), output=tmp_path)
    with pytest.raises(TrainConfigError, match="at most the 48 training images, got 64: 8 gives 6 steps per epoch"):
        train(runs.tiny_spec(), data, train_config("small", batch_size=64, augment="flip_crop"), output=tmp_path)
    with pytest.raises(TrainConfigError, match="zero_gamma changes initial weights: leave it out"):
        config = train_config("small", batch_size=12, augment="flip_crop", zero_gamma=True)
        train(runs.tiny_spec(), data, config, output=tmp_path, weights={})
    assert not list(tmp_path.iterdir())


def test_evaluation_by_hand(pictures):
    """A model that always answers the same: top-1 a third, and the cross-entropy of its softmax."""
    data = open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16))
    inputs = keras.Input((16, 16, 3))
    for activation in (None, "softmax"):
        dense = keras.layers.Dense(3, activation=activation, kernel_initializer="zeros")
        model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(inputs)))
        model.layers[-1].bias.assign([0.0, 1.0, 3.0])
        metrics = evaluate(model, data, "test", batch_size=5)
        assert (metrics.top1, metrics.top5, metrics.examples) == (pytest.approx(1 / 3), None, 12)
        assert metrics.confusion == [[0, 0, 4]] * 3 and metrics.balanced_accuracy == pytest.approx(1 / 3)
        assert metrics.recall == {"blue": 0.0, "green": 0.0, "red": 1.0}
        expected = np.log(np.exp([0.0, 1.0, 3.0]).sum()) - 4 / 3
        assert metrics.loss == pytest.approx(expected, rel=1e-5)
        if activation is None:
            for ending in (keras.layers.Softmax(), keras.Sequential([keras.layers.Softmax()])):
                scored = keras.Model(inputs, ending(model.outputs[0]))
                assert evaluate(scored, data, "test", batch_size=5).loss == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"expects input shape \(16, 16, 3\), but the images have shape \(20, 20, 3\)"):
        evaluate(model, open_dataset(DataConfig(name=f"folder:{pictures}", image_size=20)), "test")


def test_averages_follow_the_weights_by_hand(runs):
    config = train_config("small", batch_size=4, ema=0.5, dropout=0.0)
    state = TrainState(
        *(runs.tiny_spec(), config),
        strategy=make_strategy("one_device"),
        image_shape=(16, 16),
        steps_per_epoch=10,
        total_steps=20,
    )
    images = tf.random.stateless_normal((4, 16, 16, 3), [1, 2])
    name = "classifier/kernel"
    expected = get_weights(state.model)[name]
    for step in range(3):
        state.take_steps(step, [(images, tf.constant([0, 1, 2, 0]))])
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * get_weights(state.model)[name]
    final = state.final_weights()
    np.testing.assert_allclose(final[name], expected, atol=rounding_limit(3 * 3) * np.abs(expected).max())
    np.testing.assert_array_equal(final["tail_bn/moving_mean"], get_weights(state.model)["tail_bn/moving_mean"])


def test_zero_gamma_starts_blocks_with_a_shortcut_as_the_identity(runs):
    """Only the first block of the tiny network has a shortcut."""
    where = {"strategy": make_strategy("one_device"), "image_shape": (16, 16), "steps_per_epoch": 4, "total_steps": 8}
    config = train_config("small", batch_size=4, dropout=0.0, zero_gamma=True)
    state = TrainState(runs.tiny_spec(), config, **where)
    usual = get_weights(TrainState(runs.tiny_spec(), dataclasses.replace(config, zero_gamma=False), **where).model)
    gamma = "block00_project_bn/gamma"
    for name, array in get_weights(state.model).items():
        np.testing.assert_array_equal(array, np.zeros(8) if name == gamma else usual[name])
    layers = [state.model.get_layer(name).output for name in ("separable_project_bn", "block00_add")]
    images = tf.random.stateless_normal((4, 16, 16, 3), [1, 2])
    before, after = keras.Model(state.model.input, layers)(images, training=True)
    np.testing.assert_array_equal(before, after)
    state.take_steps(0, [(images, tf.constant([0, 1, 2, 0]))])
    state.take_steps(1, [(images, tf.constant([0, 1, 2, 0]))])
    assert np.all(get_weights(state.model)[gamma] != 0)


def test_the_training_form_computes_what_the_network_does(runs):
    """Outputs, gradients and moving statistics against Keras's own layers."""
    plain = build(runs.tiny_spec(), batch_size=6, classifier_activation=None)
    training = fused(plain)
    set_weights(training, get_weights(plain))
    images = tf.random.stateless_normal((6, 16, 16, 3), [3, 4])
    results = []
    for model in (plain, training):
        network = keras.Model(model.input, model.get_layer("pool").output)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(network(images, training=True)))
        variables = {f"{layer.name}/{v.name}": v.value for layer in network.layers for v in layer.trainable_variables}
        gradients = tape.gradient(loss, variables)
        results.append((float(loss), gradients, get_weights(model)))
    (loss, gradients, weights), (fused_loss, fused_gradients, fused_weights) = results
    # Seven normalisations, each of two sums over 6 x 8 x 8 positions forward and two backward.
    limit = 2 * rounding_limit(7 * 4 * 6 * 8 * 8)
    assert fused_loss == pytest.approx(loss, rel=limit)
    scale = max(float(tf.reduce_max(tf.abs(gradient))) for gradient in gradients.values())
    for name, gradient in gradients.items():
        np.testing.assert_allclose(fused_gradients[name], gradient, atol=limit * scale, err_msg=name)
    for name, array in weights.items():
        np.testing.assert_allclose(fused_weights[name], array, atol=limit * max(1.0, np.abs(array).max()), err_msg=name)
