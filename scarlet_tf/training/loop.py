"""The loop that every training run goes through: steps, log, checkpoints, stop on SIGTERM, exact resume."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import numpy as np

from scarlet_tf.training.checkpoints import CheckpointStore
from scarlet_tf.training.interrupt import StopRequest
from scarlet_tf.training.runlog import RunLog

SIGTERM_EXIT_CODE = 143


class DivergedError(ValueError):
    """The loss stopped being a number."""


def run_steps(
    *,
    log: RunLog,
    store: CheckpointStore,
    take_step: Callable[[int], Mapping[str, float]],
    state: Callable[[], Mapping[str, np.ndarray]],
    start_step: int,
    total_steps: int,
    checkpoint_every: int,
    log_every: int,
) -> None:
    """Runs steps start_step..total_steps-1, saving the state every `checkpoint_every` steps and at the end.

    Args:
        take_step: makes step number k (0-based) and returns its scalars. They are converted to floats only when
            logged, so a step need not wait for its own result.
        state: all arrays that a resumed run needs; called right after a step.

    Raises:
        SystemExit: with code 143, after SIGTERM and a checkpoint.
        DivergedError: the logged loss is not finite.
    """
    with log, StopRequest() as stop:
        for step in range(start_step, total_steps):
            scalars = take_step(step)
            done = step + 1
            last = done == total_steps
            shown = None
            if done % log_every == 0 or last:
                shown = {name: float(value) for name, value in scalars.items()}
                if not np.isfinite(shown.get("loss", 0.0)):
                    raise DivergedError(f"loss is {shown['loss']} at step {done}: lower the learning rate")
                log.log(done, shown)
            log.advance(done, shown)
            if done % checkpoint_every == 0 or last or stop.requested:
                store.save(done, state())
            if stop.requested and not last:
                sys.exit(SIGTERM_EXIT_CODE)
