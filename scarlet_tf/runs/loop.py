"""The step loop of every training run: log, checkpoints, stop on SIGTERM, exact resume."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scarlet_tf.runs.background import BackgroundWriter
from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.interrupt import RunStopped, StopRequest, describe_saved, saying_what_is_saved
from scarlet_tf.runs.runlog import RunLog

if TYPE_CHECKING:
    from scarlet_tf.runs.workers import Workers


class DivergedError(ValueError):
    """Error for a loss that is not finite."""


class Reviewer(Protocol):
    """Protocol for a periodic review of a run, such as `Selection`; `stopped` ends the run after the reviewed step."""

    stopped: bool

    def is_due(self, step: int) -> bool: ...
    def review(self, step: int) -> Mapping[str, float]: ...


def run_steps(
    *,
    log: RunLog,
    store: CheckpointStore,
    take_steps: Callable[[int, int], Mapping[str, float]],
    state: Callable[[], Mapping[str, np.ndarray]],
    start_step: int,
    total_steps: int,
    checkpoint_every: int,
    log_every: int,
    steps_per_call: int = 1,
    reviewer: Reviewer | None = None,
    workers: Workers | None = None,
) -> None:
    """Run steps start_step..total_steps-1, saving the state every `checkpoint_every` steps and at the end.

    A step that is saved waits only for a copy of the state. It is written in the background, at most one checkpoint at
    a time: a step whose checkpoint before is still being written waits for it. So do the end of the run and SIGTERM.

    Args:
        log: entered here; gets the scalars every `log_every` steps.
        store: where checkpoints are saved.
        take_steps: called as take_steps(k, n), runs n steps, from number k (0-based) on, and returns the scalars of the
            last. They are converted to floats only when logged or saved, so that a step need not wait for its own
            result.
        state: returns all arrays that a resumed run needs, as copies that later steps do not change; called right after
            a step and its review.
        steps_per_call: most steps of a call of `take_steps`. A call ends early at a step that is logged, saved or
            reviewed. SIGTERM takes effect after a call.
        reviewer: its scalars are logged with those of the step.
        workers: all that run the same steps; None: only this process. After SIGTERM to some, all stop after the next
            step that is logged or saved.

    Raises:
        RunStopped: after SIGTERM and a checkpoint; a SystemExit with code 143.
        KeyboardInterrupt: on Ctrl-C, with the text of `describe_saved`.
        DivergedError: if the loss is not finite at a step that is to be logged or saved; that step is not saved.
        OSError: if a checkpoint or the log cannot be written: at the next checkpoint, or at the end. For a full disk
            or a RemoteError it says what is saved.
    """
    saved = start_step

    def save(step: int, arrays: Mapping[str, np.ndarray]) -> None:
        nonlocal saved
        log.publish()  # first, so that the log never ends before the checkpoint
        store.save(step, arrays)
        saved = step

    def ends_call(step: int) -> bool:
        due = step % log_every == 0 or step % checkpoint_every == 0 or step == total_steps
        return due or (reviewer is not None and reviewer.is_due(step))

    def is_stopped(*, due: bool) -> bool:
        if workers is None or workers.count == 1:
            return stop.requested
        return due and workers.any(stop.requested)

    def what_is_saved() -> str:
        return describe_saved(store.directory, "step", saved or None, total=total_steps)

    with saying_what_is_saved(what_is_saved), log, StopRequest() as stop, BackgroundWriter() as writer:
        done = start_step
        while done < total_steps:
            end = next(step for step in itertools.count(done + 1) if step == done + steps_per_call or ends_call(step))
            scalars = take_steps(done, end - done)
            done = end
            last = done == total_steps
            reviewing = reviewer is not None and reviewer.is_due(done)
            logging = done % log_every == 0 or last or reviewing
            saving = done % checkpoint_every == 0 or last
            stopping = is_stopped(due=logging or saving) and not last
            saving = saving or stopping
            shown = None
            if logging or saving:
                shown = {name: float(value) for name, value in scalars.items()}
                if not np.isfinite(shown.get("loss", 0.0)):
                    raise DivergedError(f"loss is {shown['loss']} at step {done}: lower the learning rate")
            if reviewing:
                shown |= reviewer.review(done)
                last = last or reviewer.stopped
                stopping = is_stopped(due=True) and not last
                saving = saving or last or stopping
            if logging:
                log.log(done, shown)
            log.advance(done, shown)
            if saving:
                writer.submit(functools.partial(save, done, state()))
            if stopping:
                writer.wait()
                raise RunStopped(what_is_saved())
            if last:
                break
