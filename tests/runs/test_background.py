"""Writing in the background: one write at a time, errors that surface, and steps that do not wait."""

import threading
import time

import flaky
import numpy as np
import pytest

from scarlet_tf.runs.background import BackgroundWriter
from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.loop import run_steps
from scarlet_tf.runs.runlog import RunLog

FOLDER = "flaky://bucket/run"


@pytest.fixture(autouse=True)
def faults(tmp_path, monkeypatch):
    monkeypatch.setenv("FLAKY_ROOT", str(tmp_path))
    monkeypatch.setattr("scarlet_tf.remote.PAUSES", (0.0,) * 4)
    monkeypatch.setattr(flaky, "FAULTS", flaky.Faults())
    return flaky.FAULTS


def test_one_write_at_a_time_and_in_order():
    written, running, most = [], threading.Semaphore(1), []

    def write(number):
        most.append(running.acquire(blocking=False))
        time.sleep(0.01)
        written.append(number)
        running.release()

    with BackgroundWriter() as writer:
        for number in range(5):
            writer.submit(lambda number=number: write(number))
        assert len(written) >= 4  # the last may be in flight
    assert written == list(range(5)) and all(most)


def test_an_error_is_raised_by_the_next_call_or_at_the_end():
    def fail():
        raise OSError("no space")

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


def run(state, *, total, every, on_step=lambda step: None, keep=3):
    """Run steps of no work, and return the seconds from the end of each step to the start of the next."""
    ended, delays = None, []

    def take_step(step):
        nonlocal ended
        if ended is not None:
            delays.append(time.monotonic() - ended)
        on_step(step)
        ended = time.monotonic()
        return {"loss": 1.0}

    run_steps(
        log=RunLog(FOLDER, total_steps=total),
        store=CheckpointStore(FOLDER, kind="t", fingerprint="f", keep=keep),
        take_step=take_step,
        state=lambda: state,
        start_step=0,
        total_steps=total,
        checkpoint_every=every,
        log_every=100,
    )
    return delays


def test_a_step_is_delayed_by_a_tenth_of_the_write_at_most(faults):
    """Of 200 MB. A write takes 3 s by sleeping, and longer by what it computes."""
    faults.seconds_per_write = 1.5  # the checkpoint and its marker
    state = {f"kernel{number}": np.full(2_500_000, number, np.float32) for number in range(20)}
    wrote = []
    delays = run(state, total=2, every=1, on_step=lambda step: wrote.append(time.monotonic()))
    seconds = 3.0
    print(f"delays {delays}")
    assert max(delays) <= 0.1 * seconds


def test_steps_go_on_while_a_checkpoint_is_written(faults):
    """The thread that writes gives way: 200 MB are packed, digested and written beside steps of a millisecond."""
    state = {f"kernel{number}": np.full(2_500_000, number, np.float32) for number in range(20)}
    delays = run(state, total=400, every=399, on_step=lambda step: time.sleep(0.001))
    print(f"delays {sorted(delays)[-5:]}")
