"""Training sessions, from the last checkpoint to the last step, of any state that can be stepped and saved."""

from __future__ import annotations

import functools
import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import tensorflow as tf

from scarlet_tf.data import ImageData
from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.distribution import distributed_batches, is_chief
from scarlet_tf.runs.loop import run_steps
from scarlet_tf.runs.runlog import RunLog
from scarlet_tf.runs.workers import Workers, check_same_start
from scarlet_tf.training.config import TrainConfig, TrainConfigError
from scarlet_tf.training.selection import Selection

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath


class Steppable(Protocol):
    """Protocol for the changing state of a run: `arrays` returns all of it, and `load_arrays` restores it.

    Steps get images as `ImageData.train_pixels` returns them.
    """

    def take_steps(self, first: int, batches: Sequence[tuple]) -> Mapping[str, object]: ...
    def arrays(self) -> dict[str, np.ndarray]: ...
    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None: ...


def count_steps(data: ImageData, config: TrainConfig) -> tuple[int, int]:
    """Return (steps per epoch, steps of the run)."""
    steps_per_epoch = data.num_examples["train"] // config.batch_size
    return steps_per_epoch, max(1, round(config.epochs * steps_per_epoch))


def balanced_class_weights(data: ImageData) -> np.ndarray:
    """Return the weight n / (k n_c), float64, of each of the k classes, for n_c of n training images in the class.

    Raises:
        TrainConfigError: if a class has no training image.
    """
    counts = data.class_counts("train")
    if absent := [name for name, count in zip(data.class_names, counts, strict=True) if not count]:
        raise TrainConfigError(
            f"class_weight=balanced needs training images of every class, but {absent[0]!r} has none"
        )
    return counts.sum() / (len(counts) * counts)


def run_session(
    state: Steppable,
    data: ImageData,
    config: TrainConfig,
    *,
    output: Path | RemotePath,
    kind: str,
    mark: str,
    settings: object,
    strategy: tf.distribute.Strategy,
    checkpoint_every: int,
    keep_checkpoints: int,
    log_every: int,
    steps_per_call: int = 1,
    selection: Selection | None = None,
) -> float:
    """Run the remaining steps of a run, from its last checkpoint.

    `selection` may end the run early. Its state, with the best weights so far, is saved with the run's: every
    checkpoint holds them, so that they outlive the checkpoint of their own step.

    Args:
        output: the run directory.
        kind: of the checkpoints; also the label of the progress bar.
        mark: fingerprint of the run.
        settings: of the run, JSON-able, so that the error can say how another run differs.

    Returns:
        Seconds of training, including those before a restart.
    """
    _, total_steps = count_steps(data, config)
    chief = is_chief(strategy)
    make_store = CheckpointStore if chief else _ReadOnlyStore
    store = make_store(output / "checkpoints", kind=kind, fingerprint=mark, settings=settings, keep=keep_checkpoints)
    start_step, seconds_before = 0, 0.0
    checkpoint = store.restore()
    check_same_start(strategy, checkpoint.step if checkpoint else 0)
    if checkpoint:
        state.load_arrays(checkpoint.arrays)
        if selection:
            selection.load_arrays(checkpoint.arrays)
        start_step, seconds_before = checkpoint.step, float(checkpoint.arrays["seconds"])
        if selection and selection.stopped:
            return seconds_before
    batches = distributed_batches(
        strategy,
        functools.partial(data.train_pixels, config.batch_size, seed=config.seed, start_step=start_step),
        batch_size=config.batch_size,
    )
    started = time.monotonic()

    def seconds() -> float:
        return seconds_before + time.monotonic() - started

    def arrays() -> dict[str, np.ndarray]:
        return state.arrays() | (selection.arrays() if selection else {}) | {"seconds": np.float64(seconds())}

    with tempfile.TemporaryDirectory() as aside:
        run_steps(
            log=RunLog(output if chief else aside, total_steps=total_steps, start_step=start_step, description=kind),
            store=store,
            take_steps=lambda first, count: state.take_steps(first, list(itertools.islice(batches, count))),
            state=arrays,
            start_step=start_step,
            total_steps=total_steps,
            checkpoint_every=checkpoint_every,
            log_every=log_every,
            steps_per_call=steps_per_call,
            reviewer=selection,
            workers=Workers(strategy),
        )
    return seconds()


class _ReadOnlyStore(CheckpointStore):
    """Store for workers other than the chief, which resume from the chief's checkpoints and write none."""

    def save(self, step: int, arrays: Mapping[str, np.ndarray], metadata: Mapping | None = None) -> Path | RemotePath:
        return self.directory
