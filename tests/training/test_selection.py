"""Validation during a run: which weights are kept, when it ends early, and that all of it resumes exactly."""

import json
import math

import numpy as np
import pytest

from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.training.config import TrainConfigError, train_config
from scarlet_tf.training.evaluation import Metrics, evaluate
from scarlet_tf.training.selection import Selection
from scarlet_tf.zoo import load_keras_file


def judged(top1, *, balanced=0.5, loss=1.0):
    return Metrics(
        top1=top1, top5=None, balanced_accuracy=balanced, loss=loss, examples=10, recall={}, confusion=[[10]]
    )


def selection(metrics, **settings):
    """A selection that is given these metrics, one an epoch of 10 steps; its weights are the step's number."""
    results = iter(metrics)
    return Selection(
        lambda step: ({"w": np.array([step])}, next(results)),
        train_config("small", **({"keep": "best"} | settings)),
        strategy=make_strategy("one_device"),
        steps_per_epoch=10,
        total_steps=10 * len(metrics),
    )


def reviewed(metrics, **settings):
    made = selection(metrics, **settings)
    for epoch in range(1, len(metrics) + 1):
        made.review(10 * epoch)
        if made.stopped:
            break
    return made


@pytest.mark.parametrize(
    ("metrics", "settings", "best"),
    [
        ([judged(0.5), judged(0.7), judged(0.6)], {}, 20),
        ([judged(0.5), judged(0.7, loss=0.9), judged(0.7, loss=0.8)], {}, 30),
        ([judged(0.7, loss=0.8), judged(0.7, loss=0.8), judged(0.7, loss=0.9)], {}, 10),
        ([judged(0.9, balanced=0.5), judged(0.8, balanced=0.7)], {}, 10),
        ([judged(0.9, balanced=0.5), judged(0.8, balanced=0.7)], {"class_weight": "balanced"}, 20),
        ([judged(0.5), judged(0.9, loss=math.nan), judged(0.8, loss=math.inf)], {}, 10),
    ],
    ids=["highest", "lower loss", "first of equals", "top-1", "balanced", "loss not finite"],
)
def test_the_best_weights_are_kept(metrics, settings, best):
    made = reviewed(metrics, **settings)
    assert made.best_step == best and made.best_weights["w"] == [best]
    assert made.describe()["best_epoch"] == best / 10 and not made.describe()["stopped_early"]


def test_the_best_weights_outlive_the_checkpoint_of_their_step(tmp_path):
    metrics = [judged(0.9), judged(0.5), judged(0.6), judged(0.4)]
    made, store = selection(metrics), CheckpointStore(tmp_path, kind="t", fingerprint="f", keep=1)
    for step in (10, 20, 30, 40):
        made.review(step)
        store.save(step, made.arrays())
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-0000000040.npz"]
    resumed = selection(metrics)
    resumed.load_arrays(store.restore().arrays)
    assert resumed.best_step == 10 and resumed.best_weights["w"] == [10]


def test_nothing_is_kept_where_the_last_weights_are_wanted_or_none_is_finite():
    assert reviewed([judged(0.5), judged(0.4)], keep="last").best_weights == {}
    made = reviewed([judged(0.5, loss=math.nan)] * 3, patience=2)
    assert made.best_step is None and made.best_weights == {} and made.stopped and made.step == 20


def test_patience_counts_epochs_without_better_weights():
    falling = [judged(0.5), judged(0.6), judged(0.4), judged(0.5), judged(0.9)]
    made = reviewed(falling, patience=2)
    assert made.stopped and made.step == 40 and made.best_step == 20
    assert not reviewed(falling, patience=3).stopped
    assert not reviewed(falling[:4], patience=2).stopped  # the last epoch ends the run anyway


def test_a_selection_resumes_where_it_was():
    """Saved after each epoch in turn and loaded into a new one, against one that goes through."""
    metrics = [judged(0.5), judged(0.7), judged(0.7, loss=2.0), judged(0.6), judged(0.8)]
    whole = reviewed(metrics, patience=2)
    arrays = {}
    for epoch, result in enumerate(metrics, 1):
        made = selection([result] * len(metrics), patience=2)
        if arrays:
            made.load_arrays(arrays)
        if made.stopped:
            break
        made.review(10 * epoch)
        arrays = made.arrays()
    assert whole.stopped and made.describe() == whole.describe() and made.step == whole.step == 40
    np.testing.assert_array_equal(made.best_weights["w"], whole.best_weights["w"])


def test_an_epoch_ends_at_whole_batches_and_the_run():
    made = selection([judged(0.5)] * 3)
    assert [step for step in range(1, 31) if made.is_due(step)] == [10, 20, 30]


# A learning rate that spoils what was learned at first.
SPOILING = {
    "epochs": 4,
    "keep": "best",
    "schedule": "exponential",
    "learning_rate": 0.5,
    "patience": 3,
    "checkpoint_every": 4,
}


@pytest.fixture(scope="module")
def validated(runs, pictures, tmp_path_factory):
    """A run with a quarter of the training images held out."""
    output = tmp_path_factory.mktemp("validated")
    return output, runs.tiny_run(pictures, output, validation=0.25, **SPOILING)


def lines_of(output):
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def test_every_epoch_is_validated_and_the_best_one_kept(runs, pictures, validated):
    output, result = validated
    lines = {line["step"]: line for line in lines_of(output) if "validation_accuracy" in line}
    assert list(lines) == list(range(3, 3 * len(lines) + 1, 3))  # 36 images in batches of 12
    ranked = sorted(lines, key=lambda step: (-lines[step]["validation_accuracy"], lines[step]["validation_loss"], step))
    chosen = result["selection"]
    assert chosen["best_step"] == ranked[0] and chosen["keep"] == "best" and chosen["measure"] == "top1"
    assert result["validation"]["examples"] == 12
    assert result["validation"]["top1"] == lines[ranked[0]]["validation_accuracy"]
    assert result["validation"]["loss"] == pytest.approx(lines[ranked[0]]["validation_loss"], rel=1e-6)
    assert result["steps"] == max(lines) and chosen["stopped_early"] == (result["steps"] < 12)
    data = open_dataset(DataConfig(name=f"folder:{pictures}", image_size=16, validation=0.25))
    again = evaluate(load_keras_file(output / "model.keras"), data, "validation").to_dict()
    assert again["confusion"] == result["validation"]["confusion"]


def test_validation_numbers_are_in_tensorboard(validated):
    import tensorflow as tf

    output, _ = validated
    (events,) = (output / "tensorboard").iterdir()
    values = [value.tag for event in tf.compat.v1.train.summary_iterator(str(events)) for value in event.summary.value]
    lines = [line for line in lines_of(output) if "validation_accuracy" in line]
    for name in ("validation_accuracy", "validation_balanced_accuracy", "validation_loss"):
        assert values.count(name) == len(lines)


@pytest.mark.slow
def test_validation_changes_nothing_of_the_training(runs, pictures, tmp_path):
    """The same steps with the test images for validation and without any: the last weights are equal, bit for bit."""
    settings = {"epochs": 1.5}
    plain = runs.tiny_run(pictures, tmp_path / "plain", **settings)
    seen = runs.tiny_run(pictures, tmp_path / "seen", validation="test", **settings)
    assert plain["selection"] is None and plain["validation"] is None
    assert seen["validation"] == seen["test"] == plain["test"]
    assert [line["step"] for line in lines_of(tmp_path / "seen") if "validation_loss" in line] == [4, 6]
    ours, theirs = runs.saved_weights(tmp_path / "plain"), runs.saved_weights(tmp_path / "seen")
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.slow
def test_a_run_that_was_cut_off_keeps_the_same_weights(runs, pictures, validated, tmp_path, monkeypatch):
    """Cut off in the third validation, after a checkpoint that holds the best weights of the first two."""
    output, whole = validated
    review = Selection.review

    def failing(self, step):
        if step > 6:
            raise KeyboardInterrupt
        return review(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="is saved up to step 8 of 12"):
        patch.setattr(Selection, "review", failing)
        runs.tiny_run(pictures, tmp_path, validation=0.25, **SPOILING)
    resumed = runs.tiny_run(pictures, tmp_path, validation=0.25, **SPOILING)
    assert resumed | {"seconds": 0} == whole | {"seconds": 0}
    ours, theirs = runs.saved_weights(output), runs.saved_weights(tmp_path)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("setting", [{"keep": "best"}, {"patience": 3}])
def test_what_needs_validation_images_says_so(runs, pictures, tmp_path, setting):
    ((name, value),) = setting.items()
    with pytest.raises(TrainConfigError, match=f"{name}={value} needs validation images: add --validation=0.1"):
        runs.tiny_run(pictures, tmp_path, **setting)
    assert not list(tmp_path.iterdir())


def test_settings_of_older_runs_are_still_the_same():
    """A config without the later settings has the record that it had before there were any."""
    assert not {"keep", "patience", "class_weight", "zero_gamma"} & train_config("small").to_dict().keys()
    assert train_config("small", patience=2, keep="best").to_dict()["patience"] == 2
    assert train_config("small", zero_gamma=True).to_dict()["zero_gamma"] is True


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"keep": "bset"}, "nearest is 'best'"),
        ({"class_weight": "balancd"}, "nearest is 'balanced'"),
        ({"patience": -1}, "patience must be an integer >= 0, got -1"),
        ({"patience": True}, "patience must be an integer >= 0, got True"),
        ({"zero_gamma": 1}, "zero_gamma must be True or False, got 1"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(TrainConfigError, match=message):
        train_config("small", **setting)


@pytest.mark.slow
def test_a_run_that_ended_early_and_was_killed_before_its_result_does_not_go_on(runs, pictures, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    def stopping(self, step):
        scalars = review(self, step)
        self.stopped = True
        return scalars

    review = Selection.review
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Selection, "review", stopping)
        patch.setattr("scarlet_tf.training.folder.write_folder", killed)
        runs.tiny_run(pictures, tmp_path, validation="test", epochs=2)
    result = runs.tiny_run(pictures, tmp_path, validation="test", epochs=2)
    assert result["steps"] == 4 and result["selection"]["stopped_early"]
