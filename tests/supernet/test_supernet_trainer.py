"""Whole training runs: learning, resuming exactly, other strategies. Each run is a process of its own."""

import dataclasses
import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from clusters import worker_environments
from forked import ForkedProcess

from scarlet_tf.data import DataWarning
from scarlet_tf.runs.checkpoints import CheckpointError, CheckpointStore
from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import (
    Supernet,
    SupernetConfig,
    SupernetEvaluator,
    load_supernet,
    report_paths,
    supernet_trainer,
    train_supernet,
)
from scarlet_tf.supernet.supernet_trainer import TrainedSupernet

PROCESS = Path(__file__).with_name("training_process.py")
STEPS = 12

pytestmark = pytest.mark.slow


def folder_of(data) -> str:
    return data.name.removeprefix("folder:")


def start(output, data, strategy="one_device", *, steps=STEPS, steps_per_call=1, env=None):
    return ForkedProcess([PROCESS, output, folder_of(data), steps, strategy, 8, steps_per_call], env=env)


def finish(process) -> str:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return errors


def final_arrays(output):
    checkpoint = CheckpointStore(output, kind="supernet", fingerprint=None).restore()
    assert checkpoint.step == STEPS
    return checkpoint.arrays


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(tiny_data, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    started = time.monotonic()
    finish(start(output, tiny_data))
    (output / "seconds").write_text(str(time.monotonic() - started))
    return output


def seconds_of(run) -> float:
    """From the start of its process to its end."""
    return float((run / "seconds").read_text())


def test_log_and_checkpoints(uninterrupted):
    lines = [json.loads(line) for line in (uninterrupted / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    np.testing.assert_allclose([line["learning_rate"] for line in lines][:3], [0.05, 0.1, 0.1], rtol=1e-6)
    assert lines[-1]["learning_rate"] == pytest.approx(0.05 * (1 + np.cos(np.pi * 9 / 10)), rel=1e-5)
    assert lines[-1]["loss"] < lines[0]["loss"]
    names = sorted(path.name for path in uninterrupted.glob("checkpoint-*"))
    assert names == [f"checkpoint-{step:010d}.npz" for step in (6, 9, 12)]
    assert list((uninterrupted / "tensorboard").iterdir())


def test_loads_and_evaluates(uninterrupted, tiny_data):
    trained = load_supernet(uninterrupted)
    assert trained.step == STEPS
    assert SupernetConfig.from_dict(trained.config.to_dict()) == trained.config
    genomes = trained.supernet.space.random(np.random.default_rng(0), 5)
    moving = SupernetEvaluator(trained, bn="moving")
    accuracies = moving.evaluate(genomes)
    assert accuracies.shape == (5,) and ((accuracies >= 0) & (accuracies <= 1)).all()
    assert moving.num_images == 12 == sum(len(labels) for _, labels in moving.batches())
    recalibrated = SupernetEvaluator(trained, bn="recalibrated", calibration_images=5)
    assert moving.fingerprint != recalibrated.fingerprint
    for name in ("images", "calibration_images", "portion"):
        with pytest.raises(ValueError, match=f"^{name} must be >= 1, got 0"):
            SupernetEvaluator(trained, bn="moving", **{name: 0})
    own = {"supernet": trained.fingerprint, "bn": "recalibrated", "images": 12, "calibration_images": 5}
    assert own.items() <= recalibrated.settings.items() and moving.settings["calibration_images"] is None


def test_held_out_images_are_those_of_the_training(uninterrupted, tiny_data, tmp_path):
    """One image more or less, and others are held out: of these, the supernet was trained on some."""
    trained = load_supernet(uninterrupted)
    shutil.copytree(folder_of(tiny_data), tmp_path / "images")

    def evaluator(**how):
        data = dataclasses.replace(trained.config.data, name=f"folder:{tmp_path / 'images'}")
        moved = dataclasses.replace(trained, config=dataclasses.replace(trained.config, data=data))
        return SupernetEvaluator(moved, bn="moving", **how)

    assert evaluator().num_images == evaluator(skip_damaged=True).num_images == 12
    image = next((tmp_path / "images" / "train").glob("*/*.png"))
    image.write_bytes(b"no picture")
    with pytest.warns(DataWarning), pytest.raises(ValueError, match="not those that the supernet was trained on"):
        evaluator(skip_damaged=True)
    image.unlink()
    with pytest.raises(ValueError, match="so that held-out ones may be among its training images: restore them"):
        evaluator()


def test_a_supernet_without_held_out_images_is_refused(tiny_data, tiny_space):
    config = SupernetConfig(space=tiny_space, data=dataclasses.replace(tiny_data, search_validation=0), steps=30)
    untrained = TrainedSupernet(supernet=Supernet(tiny_space), config=config, step=0, fingerprint="0")
    with pytest.raises(ValueError, match=r"no held-out images .*: train it with --search_validation above 0"):
        SupernetEvaluator(untrained)


def test_a_refused_batch_size_claims_no_folder(tiny_data, tiny_space, tmp_path):
    def train(batch_size):
        config = SupernetConfig(space=tiny_space, data=tiny_data, steps=30, batch_size=batch_size)
        train_supernet(config, tmp_path, strategy=make_strategy("one_device"))

    with pytest.raises(ValueError, match=r"batch_size must be in 1\.\.48 \(training images\), got 49"):
        train(49)
    assert not (tmp_path / "config.json").exists()


def test_summary_of_random_paths_reports_both_bn_ways(uninterrupted):
    text = report_paths(uninterrupted, count=6, images=12, seed=1)
    record = json.loads((uninterrupted / "paths.json").read_text())
    assert (record["step"], record["images"], len(record["genomes"])) == (STEPS, 12, 6)
    trained = load_supernet(uninterrupted)
    for bn in ("moving", "recalibrated"):
        expected = SupernetEvaluator(trained, bn=bn, images=12).evaluate(np.array(record["genomes"]))
        np.testing.assert_array_equal(record["bn"][bn]["accuracies"], expected)
        assert f"{bn} BN: mean {expected.mean():.3f}, std {expected.std():.3f}, min {expected.min():.3f}" in text


def test_run_killed_five_times_at_random_moments_ends_bit_identical(uninterrupted, tiny_data, tmp_path):
    moments = np.random.default_rng().uniform(0.2, 1.0, 5) * seconds_of(uninterrupted)
    for moment in moments:
        process = start(tmp_path, tiny_data)
        time.sleep(moment)
        process.kill()
        process.communicate()
    finish(start(tmp_path, tiny_data))
    expected = final_arrays(uninterrupted)
    for name, value in final_arrays(tmp_path).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=f"{name}, killed after {moments} s")
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, STEPS + 1))


def test_steps_in_one_call_are_the_same_steps(uninterrupted, tiny_data, tmp_path):
    """Up to 4 in a call, which logs and checkpoints end at 3, 4, 6, 8, 9 and 12; killed after a checkpoint."""
    process = start(tmp_path, tiny_data, steps_per_call=4)
    wait_for(lambda: (tmp_path / "checkpoint-0000000003.npz").exists(), process)
    process.kill()
    process.communicate()
    finish(start(tmp_path, tiny_data, steps_per_call=4))
    expected = final_arrays(uninterrupted)
    for name, value in final_arrays(tmp_path).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    whole, together = (
        {line["step"]: line["loss"] for line in map(json.loads, (run / "log.jsonl").read_text().splitlines())}
        for run in (uninterrupted, tmp_path)
    )
    assert together == {step: whole[step] for step in (4, 8, 12)}


def test_sigterm_saves_and_a_damaged_newest_checkpoint_is_passed_over(uninterrupted, tiny_data, tmp_path):
    process = start(tmp_path, tiny_data)
    log = tmp_path / "log.jsonl"
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) >= 4, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    store = CheckpointStore(tmp_path, kind="supernet", fingerprint=None)
    newest = store.paths()[-1]
    assert store.restore().step >= 4
    newest.write_bytes(newest.read_bytes()[:-2000])
    assert "is damaged" in finish(start(tmp_path, tiny_data))
    expected = final_arrays(uninterrupted)
    for name, value in final_arrays(tmp_path).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_before_its_first_checkpoint_a_run_may_get_other_settings(tiny_data, tiny_space, tmp_path):
    def claim(**changes):
        settings = SupernetConfig(space=tiny_space, data=dataclasses.replace(tiny_data, **changes), steps=1).to_dict()
        supernet_trainer._check_same(tmp_path, settings)
        supernet_trainer._claim_folder(tmp_path, settings)
        return json.loads((tmp_path / "config.json").read_text())["data"]

    assert "skip_damaged" not in claim()
    assert claim(skip_damaged=True)["skip_damaged"] is True and "skip_damaged" not in claim()
    assert claim(seed=1)["seed"] == 1 and claim()["seed"] == 0
    (tmp_path / "checkpoint-0000000001.npz").touch()
    with pytest.raises(CheckpointError, match=r"data\.skip_damaged was absent, is True"):
        claim(skip_damaged=True)


def test_other_settings_are_refused(uninterrupted, tiny_data, tmp_path):
    process = start(uninterrupted, tiny_data, steps=STEPS + 1)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0 and "has a supernet with other settings (steps was 12, is 13):" in errors
    with pytest.raises(CheckpointError, match=r"no supernet in"):
        load_supernet(tmp_path)


# Where rounding takes an activation over a kink of ReLU6, one of the 8 x 8 x 8 terms of a kernel's gradient changes,
# here in a few of 12 steps of 0.1; statistics or gradients that replicas did not share would change all of them.
SUMMED_OTHERWISE = 1 / (8 * 8 * 8)


def relative_difference(arrays, expected) -> float:
    return max(np.abs(arrays[n] - v).max() / max(np.abs(v).max(), 1e-2) for n, v in expected.items())


def test_two_mirrored_devices_give_the_single_devices_weights(uninterrupted, tiny_data, tmp_path):
    finish(start(tmp_path, tiny_data, "mirrored"))
    assert relative_difference(final_arrays(tmp_path), final_arrays(uninterrupted)) < SUMMED_OTHERWISE


def start_workers(tmp_path, tiny_data):
    return [start(tmp_path, tiny_data, "multi_worker", env=environment) for environment in worker_environments(2)]


def test_two_workers_give_the_single_devices_weights_though_one_is_lost(uninterrupted, tiny_data, tmp_path):
    """The one that is left says so, and does not wait; started again, both go on."""
    chief, other = start_workers(tmp_path, tiny_data)
    log = tmp_path / "log.jsonl"
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) >= 4, chief)
    other.kill()
    other.communicate()
    _, errors = chief.communicate(timeout=120)
    assert chief.returncode == TRY_AGAIN_EXIT_CODE and errors.count("was lost") == 1 and "Traceback" not in errors
    for worker in start_workers(tmp_path, tiny_data):
        finish(worker)
    weights = final_arrays(tmp_path)
    assert relative_difference(weights, final_arrays(uninterrupted)) < SUMMED_OTHERWISE
    for name, value in final_arrays(tmp_path / "worker-1").items():
        np.testing.assert_array_equal(value, weights[name], err_msg=name)


def test_workers_that_see_other_checkpoints_are_refused(monkeypatch, tmp_path, tiny_data, tiny_space):
    class TwoWorkers:
        """This worker is the second; the first has found six steps."""

        count, index = 2, 1

        def __init__(self, strategy):
            assert strategy.num_replicas_in_sync == 1

        def add(self, starts):
            return starts + np.array([6, 0])

    monkeypatch.setattr("scarlet_tf.runs.workers.Workers", TwoWorkers)
    config = SupernetConfig(space=tiny_space, data=tiny_data, steps=9)
    with pytest.raises(CheckpointError, match=r"workers would resume from different steps, 6, 0: give all the same"):
        train_supernet(config, tmp_path, strategy=make_strategy("one_device"))


def test_a_warm_up_as_long_as_the_run_is_refused(tiny_data, tiny_space):
    with pytest.raises(ValueError, match=r"warmup_steps must be fewer than the 4 steps, got 4"):
        SupernetConfig(space=tiny_space, data=tiny_data, steps=4, warmup_steps=4)
    config = SupernetConfig(space=tiny_space, data=tiny_data, steps=4, warmup_steps=3, learning_rate=0.3)
    assert [config.learning_rate_at(step) for step in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.3])
