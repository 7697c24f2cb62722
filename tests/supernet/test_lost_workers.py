"""Runs of several workers: one loses a worker five times and resumes with fewer, and SIGTERM stops one."""

import json
import re
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from clusters import worker_environments
from forked import ForkedProcess

from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE

PROCESS = Path(__file__).with_name("training_process.py")
STEPS, BATCH_SIZE = 24, 12
# Where rounding takes an activation over a kink of ReLU6, one of the 12 x 8 x 8 terms of a kernel's gradient changes.
SUMMED_OTHERWISE = 1 / (BATCH_SIZE * 8 * 8)
# A loss is at most two logits, each after eight kernels.
LOSS_LIMIT = 2 * 8 * SUMMED_OTHERWISE

pytestmark = pytest.mark.slow


def start(output, data, strategy, *, steps=STEPS, environment=None):
    folder = data.name.removeprefix("folder:")
    return ForkedProcess([PROCESS, output, folder, steps, strategy, BATCH_SIZE, 1], env=environment)


def start_workers(output, data, count, *, steps=STEPS):
    environments = worker_environments(count)
    return [start(output, data, "multi_worker", steps=steps, environment=each) for each in environments]


def log_of(output):
    path = output / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def newest(output):
    """The newest checkpoint, which must be intact."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CheckpointStore(output, kind="supernet", fingerprint=None).restore()


def wait_until(condition, workers):
    while not condition():
        assert all(worker.poll() is None for worker in workers), workers[0].communicate()[1][-3000:]
        time.sleep(0.005)


def wait_for_contact(workers):
    """Wait until all know of each other; before, one that was killed may be one that has yet to start."""
    wait_until(lambda: all("waiting for all 3 workers" in worker.written()[1] for worker in workers), workers)


def wait_for_first_step(output, workers):
    """Wait until it is about to be traced."""
    started = time.time()
    wait_until(lambda: any(path.stat().st_mtime > started for path in output.glob("tensorboard/*")), workers)


def wait_for_step(output, workers, step):
    wait_for_first_step(output, workers)  # until then, the log has lines of the run before
    wait_until(lambda: log_of(output) and log_of(output)[-1]["step"] >= step, workers)


def lose(workers, victim):
    """Kill a worker, and check that each of the others ends soon with one line that names it."""
    workers[victim].kill()
    killed = time.monotonic()
    for index, worker in enumerate(workers):
        _, errors = worker.communicate(timeout=60)
        if index != victim:
            assert worker.returncode == TRY_AGAIN_EXIT_CODE, errors[-3000:]
            assert errors.count("was lost") == 1 and f": worker {victim} (127.0.0.1:" in errors
            assert "Traceback" not in errors
    assert time.monotonic() - killed < 60


def test_a_run_that_loses_workers_resumes_with_fewer(tiny_data, tmp_path):
    output, alone = tmp_path / "workers", tmp_path / "alone"
    rng = np.random.default_rng(0)
    saved = 0
    for moment in ("start", "trace", "step", "step", "step"):
        workers = start_workers(output, tiny_data, 3)
        if moment == "start":
            wait_for_contact(workers)
        if moment == "trace":
            wait_for_first_step(output, workers)
        if moment == "step":
            wait_for_step(output, workers, saved + rng.integers(2, 6))
        time.sleep(rng.uniform(0, {"start": 1, "trace": 3, "step": 0.3}[moment]))
        lose(workers, rng.integers(3))
        checkpoint = newest(output)
        assert (checkpoint.step if checkpoint else 0) >= saved
        saved = checkpoint.step if checkpoint else 0
    assert 0 < saved < 21
    workers = start_workers(output, tiny_data, 2)
    wait_for_step(output, workers, saved + 2)
    lose(workers, 1)
    for run in (output, alone):
        _, errors = start(run, tiny_data, "one_device").communicate(timeout=200)
        assert newest(run).step == STEPS, errors[-3000:]

    losses, expected = ([line["loss"] for line in log_of(run)] for run in (output, alone))
    assert [line["step"] for line in log_of(output)] == list(range(1, STEPS + 1))
    np.testing.assert_allclose(losses, expected, atol=LOSS_LIMIT)
    assert np.abs(np.diff(expected)).max() > LOSS_LIMIT  # so that a step too many or too few would show
    arrays, expected = newest(output).arrays, newest(alone).arrays
    for name, value in expected.items():
        limit = SUMMED_OTHERWISE * max(np.abs(value).max(), 1e-2)
        np.testing.assert_allclose(arrays[name], value, rtol=0, atol=limit, err_msg=name)


@pytest.mark.parametrize("stopped", [(0, 1), (1,)])
def test_workers_that_sigterm_stops_save_the_same_step(tiny_data, tmp_path, stopped):
    """As a scheduler stops them all, or one machine: each says what is saved, and ends with 143."""
    workers = start_workers(tmp_path, tiny_data, 2, steps=5000)
    wait_for_step(tmp_path, workers, 4)
    for index in stopped:
        workers[index].send_signal(signal.SIGTERM)
    errors = [worker.communicate(timeout=60)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [143, 143], errors[0][-3000:] + errors[1][-3000:]
    folders = (tmp_path, tmp_path / "worker-1")
    chief, other = map(newest, folders)
    assert 4 <= chief.step == other.step < 5000
    for text, folder in zip(errors, folders, strict=True):
        (line,) = re.findall("^.*saved up to.*$", text, re.MULTILINE)
        assert line.startswith(f"stopped: {folder} is saved up to step {chief.step} of 5000; to resume: ")
        assert "was lost" not in text and "Traceback" not in text
    assert log_of(tmp_path)[-1]["step"] == chief.step
    for name, value in chief.arrays.items():
        np.testing.assert_array_equal(other.arrays[name], value, err_msg=name)
