import dataclasses
import json

import numpy as np
import pytest
from rounding import network_limit

from scarlet_tf.data import DataConfig
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.supernet import InitConfig, PathEvaluator, Supernet, SupernetConfig
from scarlet_tf.supernet.paths import _StageFunctions


def close(a, b, limit):
    return np.abs(a - b).max() <= limit * np.abs(b).max()


def test_path_evaluator_equals_extracted_models(supernet, images, tiny_space):
    genomes = tiny_space.random(np.random.default_rng(0), 20)
    genomes[5] = genomes[4]
    logits = PathEvaluator(supernet, bn="moving", chunk=3).logits(genomes, images)
    for genome, got in zip(genomes, logits, strict=True):
        limit = 2 * network_limit(supernet.path_spec(genome))
        assert close(got, np.asarray(supernet.extract(genome)(images)), limit)


def test_recalibrated_statistics_are_exactly_those_of_the_calibration_images(supernet, images, tiny_space, step_limit):
    calibration = np.random.default_rng(9).standard_normal((32, 16, 16, 3)).astype(np.float32)
    genomes = tiny_space.random(np.random.default_rng(1), 4)
    logits = PathEvaluator(supernet, bn="recalibrated", calibration=calibration, chunk=5).logits(genomes, images)
    from scarlet_tf.layers import BatchNorm

    for genome, got in zip(genomes, logits, strict=True):
        # Keras with momentum 0 takes over a batch's statistics whole.
        model = build(supernet.path_spec(genome), classifier_activation=None, bn=BatchNorm(momentum=0.0))
        set_weights(model, supernet.path_weights(genome))
        model(calibration, training=True)
        assert close(got, np.asarray(model(images)), 2 * step_limit(tiny_space, calibration))


def test_accuracy_counts_right_answers_over_chunks(supernet, images, tiny_space):
    genomes = tiny_space.random(np.random.default_rng(2), 6)
    evaluator = PathEvaluator(supernet, bn="moving", chunk=3)
    answers = evaluator.logits(genomes, images).argmax(-1)
    labels = answers[0].copy()
    labels[:2] = (labels[:2] + 1) % 3
    expected = (answers == labels).mean(1)
    assert expected[0] == 6 / 8
    np.testing.assert_array_equal(evaluator.accuracies(genomes, images, labels), expected)


def test_common_prefixes_are_computed_once(supernet, images, monkeypatch):
    calls = []

    def counting(stage):
        calls.append(stage)
        return _StageFunctions(stage)

    monkeypatch.setattr("scarlet_tf.supernet.paths._functions", counting)
    genomes = np.array([[3, 1, 2], [0, 0, 0], [3, 1, 1], [3, 2, 2], [3, 1, 2]])
    PathEvaluator(supernet, bn="moving").logits(genomes, images)
    # stem; 3, 31, 312, 311, 32, 322; 0, 00, 000; and a tail for each of the five genomes.
    assert len(calls) == 1 + 6 + 3 + 5


def test_images_need_not_be_square(tiny_space):
    space = dataclasses.replace(tiny_space, resolution=(16, 8))
    config = SupernetConfig(space=space, data=DataConfig(name="fashion_mnist", image_size=[16, 8]), steps=1)
    assert SupernetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    oblong = Supernet(space, seed=2)
    images = np.random.default_rng(4).standard_normal((4, 16, 8, 3)).astype(np.float32)
    genomes = space.random(np.random.default_rng(5), 3)
    for genome, got in zip(genomes, PathEvaluator(oblong, bn="moving").logits(genomes, images), strict=True):
        limit = 2 * network_limit(oblong.path_spec(genome))
        assert close(got, np.asarray(oblong.extract(genome)(images)), limit)


def test_let_starts_as_identity_or_as_a_convolution(tiny_space):
    identity = Supernet(tiny_space, init=InitConfig(let="identity", residual_gamma=0.5))
    np.testing.assert_array_equal(identity.layers[2].let.numpy(), np.eye(8, 12))
    np.testing.assert_array_equal(identity.state()["layer01/project_bn/gamma"], np.full((3, 8), 0.5))
    np.testing.assert_array_equal(identity.state()["layer02/project_bn/gamma"], np.ones((3, 12)))
    convolution = Supernet(tiny_space, init=InitConfig(let="normal"))
    assert 0.2 < convolution.layers[2].let.numpy().std() < 0.6  # sqrt(2/12) = 0.41
    with pytest.raises(ValueError, match=r"'identiy'.*nearest is 'identity'"):
        InitConfig(let="identiy")


def test_bad_requests_are_refused(supernet, images):
    with pytest.raises(ValueError, match=r"'moveing'.*nearest is 'moving'"):
        PathEvaluator(supernet, bn="moveing")
    with pytest.raises(ValueError, match=r"needs calibration images"):
        PathEvaluator(supernet, bn="recalibrated")
    with pytest.raises(ValueError, match=r"gene 1 must be an integer in 0..3"):
        PathEvaluator(supernet, bn="moving").logits(np.array([[0, 4, 0]]), images)


def test_path_weights_are_named_as_the_built_models(supernet, tiny_space):
    for genome in ((0, 1, 3), (3, 3, 3), (2, 0, 1)):
        built = get_weights(build(tiny_space.spec(genome, let=True)))
        assert {k: v.shape for k, v in supernet.path_weights(genome).items()} == {k: v.shape for k, v in built.items()}
