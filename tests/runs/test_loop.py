import errno
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.loop import DivergedError, run_steps
from scarlet_tf.runs.runlog import RunLog


def run(folder, *, start=0, total=10, loss=lambda step: 1.0 / (step + 1), on_step=lambda step: None, calls=None, **how):
    taken = []

    def take_steps(first, count):
        for step in range(first, first + count):
            taken.append(step)
            on_step(step)
        if calls is not None:
            calls.append(count)
        return {"loss": loss(step)}

    run_steps(
        log=RunLog(folder, total_steps=total, start_step=start),
        store=CheckpointStore(folder, kind="t", fingerprint="f", keep=10),
        take_steps=take_steps,
        state=lambda: {"taken": np.array(taken)},
        start_step=start,
        total_steps=total,
        checkpoint_every=4,
        log_every=3,
        **how,
    )
    return taken


def logged(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_steps_logs_and_checkpoints(tmp_path):
    assert run(tmp_path) == list(range(10))
    assert [(line["step"], line["loss"]) for line in logged(tmp_path)] == [
        (3, 1 / 3),
        (6, 1 / 6),
        (9, 1 / 9),
        (10, 0.1),
    ]
    steps = [int(p.stem.split("-")[1]) for p in CheckpointStore(tmp_path, kind="t", fingerprint="f").paths()]
    assert steps == [4, 8, 10]
    events = [str(p) for p in (tmp_path / "tensorboard").iterdir()]
    values = [v for e in tf.compat.v1.train.summary_iterator(events[0]) for v in e.summary.value]
    assert [v.tag for v in values] == ["loss"] * 4


class StopsAt:
    """Looks at every fifth step and ends the run at one of them."""

    def __init__(self, step):
        self.step, self.stopped = step, False

    def is_due(self, step):
        return step % 5 == 0

    def review(self, step):
        self.stopped = step == self.step
        return {"validation": step / 100}


def test_a_reviewer_adds_to_the_log_and_ends_the_run(tmp_path):
    assert run(tmp_path, total=20, reviewer=StopsAt(10)) == list(range(10))
    lines = logged(tmp_path)
    assert [line["step"] for line in lines] == [3, 5, 6, 9, 10]
    assert {line["step"]: line["validation"] for line in lines if "validation" in line} == {5: 0.05, 10: 0.1}
    assert CheckpointStore(tmp_path, kind="t", fingerprint="f").restore().step == 10


def test_a_loss_that_is_not_finite_is_not_reviewed(tmp_path):
    reviewer = StopsAt(5)
    with pytest.raises(DivergedError, match=r"loss is nan at step 5"):
        run(tmp_path, loss=lambda step: float("nan") if step == 4 else 1.0, reviewer=reviewer)
    assert not reviewer.stopped


def test_a_full_disk_says_what_is_saved(tmp_path, monkeypatch):
    """At the log of step 6 and in TensorBoard's own writing."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(step):
        if step == 5:
            monkeypatch.setattr("scarlet_tf.runs.runlog.open", full, raising=False)

    with pytest.raises(OSError) as error:
        run(tmp_path, on_step=fill)
    assert error.value.filename == str(tmp_path / "log.jsonl")
    assert error.value.strerror == f"No space left on device; {tmp_path} is saved up to step 4 of 10"
    monkeypatch.undo()

    def exhausted(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "events.v2; No space left on device")

    monkeypatch.setattr(tf.summary, "scalar", exhausted)
    with pytest.raises(OSError) as error:
        run(tmp_path, start=4)
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(tmp_path / "tensorboard")
    assert "is saved up to step 4 of 10" in error.value.strerror


def test_resume_drops_the_lines_it_makes_again(tmp_path):
    run(tmp_path, total=10)
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 12, "lo')  # a kill in the middle of a line
    assert run(tmp_path, start=4) == list(range(4, 10))
    assert [line["step"] for line in logged(tmp_path)] == [3, 6, 9, 10]


def test_sigterm_finishes_the_step_saves_and_exits(tmp_path):
    def terminate(step):
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, on_step=terminate)
    assert stopped.value.code == 143
    assert stopped.value.saved == f"{tmp_path} is saved up to step 6 of 10"
    assert CheckpointStore(tmp_path, kind="t", fingerprint="f").restore().step == 6
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("at", "saved"), [(3, "nothing is saved yet"), (6, "{} is saved up to step 4 of 10")])
def test_ctrl_c_says_what_is_saved(tmp_path, at, saved):
    def interrupt(step):
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        run(tmp_path, on_step=interrupt)
    assert str(interrupted.value) == saved.format(tmp_path)


def test_a_run_in_another_thread_does_without_sigterm(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run, tmp_path).result() == list(range(10))


def test_divergence_is_an_error_before_it_is_saved(tmp_path):
    with pytest.raises(DivergedError, match=r"loss is nan at step 3"):
        run(tmp_path, loss=lambda step: float("nan"))
    assert CheckpointStore(tmp_path, kind="t", fingerprint="f").restore() is None


def test_divergence_between_two_logged_steps_is_not_saved(tmp_path):
    with pytest.raises(DivergedError, match=r"loss is inf at step 8"):  # saved every 4, logged every 3 steps
        run(tmp_path, loss=lambda step: float("inf") if step == 7 else 1.0)
    assert CheckpointStore(tmp_path, kind="t", fingerprint="f").restore().step == 4
    assert [line["step"] for line in logged(tmp_path)] == [3, 6]


@pytest.mark.parametrize("start", [0, 5])
def test_a_call_ends_where_something_is_logged_saved_or_reviewed(tmp_path, start):
    """Logged every 3 steps, saved every 4, reviewed every 5, to step 20."""
    calls, ends = [], [2, 3, 4, 5, 6, 8, 9, 10, 12, 14, 15, 16, 18, 20]  # 2 and 14 because a call has two steps
    steps = run(tmp_path, start=start, total=20, reviewer=StopsAt(99), calls=calls, steps_per_call=2)
    assert steps == list(range(start, 20))
    assert np.cumsum([start, *calls])[1:].tolist() == [step for step in ends if step > start]


def test_sigterm_within_a_call_finishes_the_call(tmp_path):
    """Calls of steps 1, 2, 3 | 4 | 5, 6: SIGTERM in step 5 leaves a checkpoint of step 6."""

    def terminate(step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, on_step=terminate, steps_per_call=10)
    assert stopped.value.saved == f"{tmp_path} is saved up to step 6 of 10"


class TwoWorkers:
    """Stands for `Workers`: the other one is asked to stop after some of the decisions."""

    count = 2

    def __init__(self, *, stopped_at=99):
        self.asked, self._stopped_at = [], stopped_at

    def any(self, flag):
        self.asked.append(flag)
        return flag or len(self.asked) >= self._stopped_at


def test_several_workers_stop_after_the_same_step(tmp_path):
    workers = TwoWorkers()

    def terminate(step):
        if step == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, on_step=terminate, workers=workers)
    assert stopped.value.code == 143 and workers.asked == [True]
    assert CheckpointStore(tmp_path, kind="t", fingerprint="f").restore().step == 3  # the first that is logged


def test_a_worker_stops_with_another(tmp_path):
    workers = TwoWorkers(stopped_at=2)
    with pytest.raises(SystemExit, match="143"):
        run(tmp_path, workers=workers)
    assert workers.asked == [False, False]
    assert CheckpointStore(tmp_path, kind="t", fingerprint="f").restore().step == 4  # logged after 3, saved after 4


def test_a_log_shows_the_progress_of_a_run_in_lines(tmp_path, monkeypatch, capsys):
    """Lines show loss and accuracy, and a resumed run starts at the step that it resumes from."""
    monkeypatch.setattr("scarlet_tf.progress.SECONDS", 0)
    with RunLog(tmp_path, total_steps=12, start_step=9, description="supernet") as log:
        log.advance(10, {"loss": 0.5})
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("supernet: 9 of 12 steps, ")
    assert last.startswith("supernet: 10 of 12 steps, ") and last.endswith(", loss=0.5")
