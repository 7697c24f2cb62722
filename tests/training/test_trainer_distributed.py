import json
import re
import time

import numpy as np
import pytest
from clusters import worker_environments

from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE

pytestmark = pytest.mark.slow

SETTINGS = {"epochs": 1, "checkpoint_every": 2, "validation": "test", "keep": "best", "class_weight": "balanced"}


def finish(process):
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


def check_close(runs, first, second):
    """After 4 steps with dropout, augmentation and momentum.

    Where rounding takes an activation over a kink of ReLU6, one of the 12 x 8 x 8 terms of a kernel's gradient changes;
    statistics or gradients that replicas did not share would change all of them.
    """
    ours, theirs = runs.saved_weights(first), runs.saved_weights(second)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        size = max(np.abs(array).max(), 0.1)  # a shift that the next BN takes off again is no more than rounding
        np.testing.assert_allclose(array, theirs[name], atol=size / (12 * 8 * 8), err_msg=name)


@pytest.fixture(scope="module")
def single(runs, pictures, tmp_path_factory):
    """The folder of a run on one device."""
    output = tmp_path_factory.mktemp("single") / "run"
    runs.tiny_run(pictures, output, **SETTINGS)
    return output


def test_two_mirrored_replicas_equal_one_device(runs, single, tmp_path, start):
    expected = json.loads((single / "training.json").read_text())
    devices = {"strategy": "mirrored", "devices": ["CPU:0", "CPU:1"], "logical_cpus": 2}
    mirrored = finish(start("mirrored", **SETTINGS, **devices))
    assert (expected["replicas"], mirrored["replicas"], mirrored["steps"]) == (1, 2, 4)
    assert mirrored["selection"] == expected["selection"] and mirrored["selection"]["best_step"] == 4
    check_close(runs, single, tmp_path / "mirrored")


def test_batches_are_copied_to_a_device_ahead(runs, single, tmp_path, start):
    """To a second CPU device, as to a GPU; four steps in one call."""
    how = {"devices": ["CPU:1"], "logical_cpus": 2, "steps_per_call": 4, "log_every": 4, "checkpoint_every": 4}
    finish(start("other", **(SETTINGS | how)))
    expected = runs.saved_weights(single)
    for name, array in runs.saved_weights(tmp_path / "other").items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_mirrored_steps_in_one_call(runs, tmp_path, start, precision):
    """Two replicas, four steps: one at a time, and three and one in a call. Validated, so reviewed, after step 4."""
    how = {"strategy": "mirrored", "devices": ["CPU:0", "CPU:1"], "logical_cpus": 2, "precision": precision}
    finish(start("single", **(SETTINGS | how)))
    finish(start("together", **(SETTINGS | how | {"steps_per_call": 3, "log_every": 9, "checkpoint_every": 9})))
    expected = runs.saved_weights(tmp_path / "single")
    for name, array in runs.saved_weights(tmp_path / "together").items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_a_batch_that_replicas_cannot_share_is_refused(tmp_path, start):
    devices = {"strategy": "mirrored", "devices": ["CPU:0", "CPU:1"], "logical_cpus": 2}
    process = start("mirrored", **SETTINGS, **devices, batch_size=9)
    _, errors = process.communicate(timeout=300)
    assert "batch_size must be a multiple of the 2 replicas, got 9" in errors


def test_two_workers_equal_one_device(runs, single, tmp_path, start):
    settings = SETTINGS | {"strategy": "multi_worker"}
    workers = [start("both", **settings, environment=environment) for environment in worker_environments(2)]
    chief, other = [finish(worker) for worker in workers]
    assert chief["replicas"] == 2 and chief["test"] == other["test"]
    check_close(runs, single, tmp_path / "both")
    lines = (tmp_path / "both" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]


def test_a_run_that_lost_its_chief_resumes_on_one_device(runs, pictures, single, tmp_path, start):
    settings = SETTINGS | {"strategy": "multi_worker"}
    chief, other = [start("run", **settings, environment=environment) for environment in worker_environments(2)]
    while not list((tmp_path / "run").glob("checkpoints/checkpoint-*2.npz")):
        assert chief.poll() is None, chief.communicate()[1][-3000:]
        time.sleep(0.005)
    chief.kill()
    _, errors = other.communicate(timeout=60)
    assert other.returncode == TRY_AGAIN_EXIT_CODE and errors.count("was lost") == 1
    assert re.search(r"worker 0 \S+ was lost", errors)
    result = runs.tiny_run(pictures, tmp_path / "run", **SETTINGS)
    assert (result["replicas"], result["steps"]) == (1, 4)
    check_close(runs, single, tmp_path / "run")
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
