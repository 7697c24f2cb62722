import numpy as np
import pytest

from scarlet_tf.training.config import TrainConfigError, list_recipes, suggest_batch_size, train_config
from scarlet_tf.training.optimizers import make_schedule


def values(config, steps, *, steps_per_epoch=100, total_steps=1000):
    schedule = make_schedule(config, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
    return [float(schedule(step)) for step in steps]


def test_the_papers_schedule_by_hand():
    """100 steps an epoch: warm-up to step 500, a stair of 0.97 every 240 steps counted from 0."""
    config = train_config("paper")
    found = values(config, [0, 250, 499, 500, 719, 720, 959, 960, 2400])
    expected = [0, 0.128, 0.256 * 499 / 500] + [0.256 * 0.97**n for n in (2, 2, 3, 3, 4, 10)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_another_reading_of_decay():
    found = values(train_config("paper", decay_rate=0.99), [720])
    np.testing.assert_allclose(found, 0.256 * 0.99**3, rtol=1e-5)


def test_the_learning_rate_scales_with_the_batch():
    assert train_config("paper", batch_size=256).peak_learning_rate == 0.016
    assert values(train_config("paper", batch_size=256), [500]) == pytest.approx([0.016 * 0.97**2])


def test_cosine_by_hand():
    config = train_config("small", learning_rate=0.2, reference_batch=128, batch_size=128, warmup_epochs=2)
    found = values(config, [0, 100, 200, 400, 600, 1000])
    expected = [0, 0.1, 0.2, 0.2 * (1 + np.cos(np.pi / 4)) / 2, 0.1, 0]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_no_warm_up_starts_at_the_peak():
    config = train_config("paper", warmup_epochs=0)
    assert values(config, [0]) == pytest.approx([0.256])


def test_the_papers_recipe():
    config = train_config("paper")
    assert (config.optimizer, config.rho, config.momentum, config.epsilon) == ("rmsprop", 0.9, 0.9, 1e-3)
    assert (config.epochs, config.batch_size, config.warmup_epochs, config.decay_epochs) == (350, 4096, 5, 2.4)
    assert (config.l2, config.label_smoothing, config.ema, config.augment) == (1e-5, 0.1, 0.9999, "inception")
    assert config.dropout is None  # the spec's: 0.2, 0.3 or 0.4
    assert list_recipes() == ["finetune", "paper", "small"]


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("papr", {}, "unknown recipe 'papr'.*nearest is 'paper'"),
        ("paper", {"epoch": 3}, "unknown training setting 'epoch'.*nearest is 'epochs'"),
        ("paper", {"optimizer": "rmsprob"}, "unknown optimizer 'rmsprob'.*nearest is 'rmsprop'"),
        ("paper", {"epochs": 0}, "epochs must be a number > 0, got 0"),
        ("paper", {"epochs": float("nan")}, "epochs must be a number > 0, got nan"),
        ("paper", {"epochs": float("inf")}, "epochs must be a number > 0, got inf"),
        ("paper", {"clip_norm": float("inf")}, "clip_norm must be a number >= 0, got inf"),
        ("paper", {"batch_size": 1.5}, r"batch_size must be an integer >= 1, got 1\.5"),
        ("paper", {"label_smoothing": 1}, r"label_smoothing must be in \[0, 1\), got 1"),
        ("paper", {"dropout": -0.1}, r"dropout must be in \[0, 1\), or None, got -0\.1"),
        ("paper", {"l2": -1}, "l2 must be a number >= 0, got -1"),
        ("paper", {"seed": -1}, "seed must be an integer in"),
        ("finetune", {"frozen_epochs": 11}, "frozen_epochs must be at most the 10 epochs, got 11$"),
        ("finetune", {"epochs": 2}, "the 2 epochs, got 3 of the recipe 'finetune': set frozen_epochs too"),
        ("finetune", {"measured_images": -1}, "measured_images must be an integer >= 0, or None, got -1"),
        ("small", {"decay_rate": 0.5}, "decay_rate belongs to the schedule 'exponential', got 0.5 with 'cosine'"),
        ("small", {"epsilon": 1.0}, "epsilon belongs to the optimizer 'rmsprop' or 'adam', got 1.0 with 'sgd'"),
    ],
)
def test_bad_settings_are_named(recipe, overrides, message):
    with pytest.raises(TrainConfigError, match=message):
        train_config(recipe, **overrides)


@pytest.mark.parametrize(
    ("images", "batch_size", "better"),
    [(60_000, 128, None), (320, 32, None), (319, 32, 16), (60, 32, 8), (20, 16, 8), (20, 10, None), (20, 8, None)],
)
def test_a_batch_for_few_images(images, batch_size, better):
    """Ten steps an epoch, or the smallest batch, where that makes more steps at all."""
    assert suggest_batch_size(images, batch_size) == better
