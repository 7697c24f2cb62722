"""Writing in the background: one write at a time, errors that surface, and steps that do not wait."""

import json
import os
import signal
import threading
import time
import warnings

import flaky
import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.paths import RemoteError
from scarlet_tf.runs.background import BackgroundWriter, snapshot
from scarlet_tf.runs.checkpoints import CheckpointStore, read_checkpoint
from scarlet_tf.runs.interrupt import RunStopped
from scarlet_tf.runs.loop import run_steps
from scarlet_tf.runs.runlog import RunLog

FOLDER = "flaky://bucket/run"


def test_one_write_at_a_time_and_in_order():
    written, running, alone = [], threading.Semaphore(1), []

    def write(number):
        alone.append(running.acquire(blocking=False))
        time.sleep(0.01)
        written.append(number)
        running.release()

    with BackgroundWriter() as writer:
        for number in range(5):
            writer.submit(lambda number=number: write(number))
            assert len(written) >= number  # all before it
    assert written == list(range(5)) and alone == [True] * 5


def fail():
    raise OSError("no space")


def test_an_error_is_raised_by_the_next_call_or_at_the_end():
    with BackgroundWriter() as writer:
        writer.submit(fail)
        with pytest.raises(OSError, match=r"^no space$"):
            writer.submit(print)
        writer.submit(fail)
        with pytest.raises(OSError, match=r"^no space$"):
            writer.wait()
    with pytest.raises(OSError, match=r"^no space$"), BackgroundWriter() as writer:
        writer.submit(fail)
    with pytest.raises(KeyError, match=r"first"), BackgroundWriter() as writer:
        writer.submit(fail)
        raise KeyError("first")


def run(*, total, every, start=0, on_step=lambda step: None, state=None):
    """Run steps whose state is their number, unless `state` returns another."""
    now = start

    def take_step(step):
        nonlocal now
        on_step(step)
        now = step + 1
        return {"loss": 1.0 / now}

    run_steps(
        log=RunLog(FOLDER, total_steps=total, start_step=start),
        store=CheckpointStore(FOLDER, kind="t", fingerprint="f"),
        take_steps=lambda first, count: take_step(first),
        state=state or (lambda: {"step": np.int64(now)}),
        start_step=start,
        total_steps=total,
        checkpoint_every=every,
        log_every=1,
    )


def restored():
    return CheckpointStore(FOLDER, kind="t", fingerprint="f").restore()


def logged_steps(tmp_path):
    text = (tmp_path / "store" / "bucket" / "run" / "log.jsonl").read_text()
    return [json.loads(line)["step"] for line in text.splitlines()]


@pytest.mark.slow
def test_a_step_is_delayed_by_a_tenth_of_the_write_at_most(flaky_store):
    """200 MB at 20 MB/s: the write takes 10 s by sleeping, while steps go on that change all of the state."""
    kernels = [tf.Variable(tf.fill([2_500_000], np.float32(number))) for number in range(20)]
    flaky_store.bytes_per_second = 20e6
    seconds = sum(kernel.numpy().nbytes for kernel in kernels) / flaky_store.bytes_per_second
    started = []

    def on_step(step):
        started.append(time.monotonic())
        for kernel in kernels:
            kernel.assign_add(tf.ones_like(kernel))

    run(
        start=490,
        every=500,
        total=530,
        on_step=on_step,
        state=lambda: {str(number): snapshot(kernel) for number, kernel in enumerate(kernels)},
    )
    delays = np.diff(started) - np.median(np.diff(started))
    assert seconds == 10.0 and delays.max() <= 0.1 * seconds
    for path, step in zip(CheckpointStore(FOLDER, kind="t", fingerprint="f").paths(), (500, 530), strict=True):
        for number, array in read_checkpoint(path, kind="t").arrays.items():
            assert (array == int(number) + step - 490).all()


def test_a_second_save_waits_for_the_first(flaky_store, tmp_path):
    flaky_store.bytes_per_second = 1e5
    run(total=4, every=1, state=lambda: {"state": np.zeros(5000, np.uint8)})  # 0.05 s a write, no time a step
    assert restored().step == 4 and logged_steps(tmp_path) == [1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_run_resumes_with_its_log(flaky_store, tmp_path, seed):
    flaky_store.bytes_to_live = np.random.default_rng(seed).integers(3000, 20000)
    with pytest.raises(flaky.Killed):
        run(total=100, every=3)
    flaky_store.revive()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a marker that is cut short
        found = restored()
    start = found.step if found else 0
    assert not found or found.arrays["step"] == start
    run(total=110, every=3, start=start)
    assert restored().step == 110 and logged_steps(tmp_path) == list(range(1, 111))
    events = list((tmp_path / "store" / "bucket" / "run" / "tensorboard").iterdir())
    assert len(events) == 2 and all(path.stat().st_size for path in events)


def test_a_write_that_fails_ends_the_run_and_says_what_is_saved(flaky_store):
    def lose(step):
        while step == 7 and restored().step < 6:
            time.sleep(0.01)
        flaky_store.write = float(step >= 7)

    with pytest.raises(RemoteError) as error:
        run(total=20, every=3, on_step=lose)
    assert "connection lost while writing" in error.value.strerror
    assert error.value.strerror.endswith(f"(tried 5 times); {FOLDER} is saved up to step 6 of 20")


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("stop", "error", "saved"), [(terminate, RunStopped, 6), (interrupt, KeyboardInterrupt, 4)])
def test_a_stopped_run_waits_for_the_write_in_flight(flaky_store, stop, error, saved):
    """SIGTERM for a checkpoint of its own, Ctrl-C for one that was begun."""
    flaky_store.bytes_per_second = 2e4
    with pytest.raises(error) as stopped:
        run(total=10, every=4, on_step=lambda step: stop() if step == 5 else None)
    text = str(stopped.value) if error is KeyboardInterrupt else stopped.value.saved
    assert text == f"{FOLDER} is saved up to step {saved} of 10" and restored().step == saved
