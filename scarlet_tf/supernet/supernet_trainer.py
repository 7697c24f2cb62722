"""Supernet training: training loop, and loading of trained supernets from their run directories."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from scarlet_tf.arch import SearchSpace
from scarlet_tf.committed import is_committed, write_committed
from scarlet_tf.data import open_dataset
from scarlet_tf.data.source import statistics_of
from scarlet_tf.differences import name_differences
from scarlet_tf.files import locked_folder
from scarlet_tf.paths import as_path
from scarlet_tf.runs.checkpoints import CheckpointError, CheckpointStore, check_markers, fingerprint
from scarlet_tf.runs.distribution import distributed_batches, is_chief
from scarlet_tf.runs.loop import run_steps
from scarlet_tf.runs.loss_scale import LossScale
from scarlet_tf.runs.runlog import RunLog
from scarlet_tf.runs.steps_together import steps_together
from scarlet_tf.runs.workers import Workers, check_same_start, naming_lost_workers
from scarlet_tf.supernet.fair_step import make_fair_step, without_graph_rewrites
from scarlet_tf.supernet.optimizer import MomentumSgd
from scarlet_tf.supernet.sampler import fair_paths, routes
from scarlet_tf.supernet.supernet import Supernet
from scarlet_tf.supernet.supernet_config import SupernetConfig
from scarlet_tf.zoo.preprocessing import Preprocessing

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath

KIND = "supernet"


def train_supernet(
    config: SupernetConfig,
    output: str | Path,
    *,
    strategy: tf.distribute.Strategy,
    checkpoint_every: int = 500,
    keep_checkpoints: int = 3,
    log_every: int = 20,
    steps_per_call: int = 1,
    recompute: bool = False,
    jit_compile: bool = False,
    after_step: Callable[[int, Supernet], None] | None = None,
) -> Supernet:
    """Train a supernet, or resume the run in `output`.

    Writes config.json, checkpoint-*.npz (the newest), log.jsonl and tensorboard/. A run that was killed resumes
    from its newest checkpoint and ends with the same weights as an uninterrupted one, bit-identical on the same
    machine. Several workers must share the file system of `output`: all resume from the chief's checkpoints. Worker N
    writes its own log and checkpoints to worker-N/, so that replicas can be compared.

    Args:
        config: the settings.
        output: run directory, local or remote.
        strategy: the strategy to train with.
        checkpoint_every: steps between checkpoints.
        keep_checkpoints: number of newest checkpoints to keep. Nothing is validated, so that none of them is "best".
        log_every: steps between log entries.
        steps_per_call: most steps in one call of TensorFlow, to spare a fast accelerator the time between calls. A call
            ends at every step that is logged or saved. May change when a run resumes.
        recompute, jit_compile: see `fair_step.make_fair_step`; they may change when a run resumes.
        after_step: called after every call, which is every step with `steps_per_call` 1, with the number of finished
            steps and the supernet, which it must not change. A resumed run calls it again for the steps after the last
            checkpoint.

    Returns:
        The trained supernet.

    Raises:
        CheckpointError: if `output` holds a run with other settings, or is a remote one that was copied there without
            markers, or if the workers see different checkpoints.
        FolderInUseError: if another run writes to `output`.
        ValueError: if the space and the dataset differ in their number of classes.
        WorkerLostError: if TensorFlow reports that another worker has ended.
    """
    how = {"recompute": recompute, "jit_compile": jit_compile, "after_step": after_step}
    every = {"checkpoint_every": checkpoint_every, "keep_checkpoints": keep_checkpoints, "log_every": log_every}
    how |= every | {"steps_per_call": steps_per_call}
    locked = locked_folder(output) if is_chief(strategy) else contextlib.nullcontext()
    with locked, naming_lost_workers("its last checkpoint"):
        return _train_supernet(config, as_path(output), strategy=strategy, **how)


def _train_supernet(
    config: SupernetConfig,
    output: Path | RemotePath,
    *,
    strategy: tf.distribute.Strategy,
    checkpoint_every: int,
    keep_checkpoints: int,
    log_every: int,
    steps_per_call: int,
    recompute: bool,
    jit_compile: bool,
    after_step: Callable[[int, Supernet], None] | None,
) -> Supernet:
    data = open_dataset(config.data)
    space = config.space
    if data.num_classes != space.classes:
        raise ValueError(f"the space has {space.classes} classes, but {config.data.name!r} has {data.num_classes}")
    settings = config.to_dict()
    check_markers(output)
    _check_same(output, settings)
    store = CheckpointStore(
        output,
        kind=KIND,
        fingerprint=fingerprint([settings, data.fingerprint]),
        settings=settings | {"images": data.fingerprint},
        keep=keep_checkpoints,
    )
    resumed = store.restore()
    start = resumed.step if resumed else 0
    check_same_start(strategy, start)
    with strategy.scope():
        supernet = Supernet(space, seed=config.seed, init=config.init)
        optimizer = MomentumSgd(
            supernet.trainable_variables,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            loss_scale=LossScale() if config.precision == "mixed_float16" else None,
        )
    if resumed:
        supernet.load_state(resumed.arrays)
        optimizer.load_state(resumed.arrays)
    fair_step = make_fair_step(
        supernet,
        optimizer,
        strategy,
        shared_gradient=config.shared_gradient,
        normalise=data.normalise,
        precision=config.precision,
        recompute=recompute,
        jit_compile=jit_compile,
    )
    batches = distributed_batches(
        strategy,
        functools.partial(data.train_pixels, config.batch_size, seed=config.seed, start_step=start),
        batch_size=config.batch_size,
    )
    _claim_folder(output, settings)

    together = steps_together(fair_step, strategy, most=steps_per_call, scalars=("loss", "accuracy"))
    fair_steps = without_graph_rewrites(together)

    def routes_and_rate(step: int) -> tuple:
        paths = fair_paths(config.seed, step, num_choices=space.num_choices)
        fair_routes = tuple(map(tf.constant, routes(paths, num_choices=space.num_choices)))
        return fair_routes, tf.constant(config.learning_rate_at(step), tf.float32)

    def take_steps(first: int, count: int) -> dict:
        steps = [routes_and_rate(step) for step in range(first, first + count)]
        scalars = fair_steps(list(itertools.islice(batches, count)), steps)
        if after_step:
            after_step(first + count, supernet)
        return scalars | {"learning_rate": steps[-1][1]}

    if start < config.steps:
        chief = is_chief(strategy)
        folder = output if chief else output / f"worker-{strategy.cluster_resolver.task_id}"
        run_steps(
            log=RunLog(folder, total_steps=config.steps, start_step=start, description="supernet"),
            store=store
            if chief
            else CheckpointStore(folder, kind=KIND, fingerprint=store.fingerprint, keep=keep_checkpoints),
            take_steps=take_steps,
            state=lambda: supernet.state() | optimizer.state(),
            start_step=start,
            total_steps=config.steps,
            checkpoint_every=checkpoint_every,
            log_every=log_every,
            steps_per_call=steps_per_call,
            workers=Workers(strategy),
        )
    return supernet


def _check_same(output: Path | RemotePath, settings: dict) -> None:
    """Raise CheckpointError if the run directory has a config.json with other settings.

    Before the first checkpoint they may differ, so that a run that met a damaged image or diverged can be restarted.
    """
    path = output / "config.json"
    if not is_committed(path) or not CheckpointStore(output, kind=KIND, fingerprint=None).paths():
        return
    before = _read_settings(path)
    if difference := name_differences(before, settings):
        raise CheckpointError(
            f"{output} has a supernet with other settings ({difference}): use the same flags, or another run directory"
        )


def _claim_folder(output: Path | RemotePath, settings: dict) -> None:
    """Write config.json if it is missing or has other settings that `_check_same` accepted."""
    path = output / "config.json"
    if not is_committed(path) or _read_settings(path) != settings:
        write_committed(path, (json.dumps(settings, indent=1) + "\n").encode())


def _read_settings(path: Path | RemotePath) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedSupernet:
    """A supernet loaded from its run directory, see `load_supernet`.

    Attributes:
        supernet: the supernet, with the weights of the checkpoint.
        config: settings of the training.
        step: number of fair steps trained; `config.steps` if the run is complete.
        fingerprint: of the weights, by which results refer to the supernet.
        images: fingerprint of the images that it was trained on, see `ImageData`; None if the checkpoint has none.
    """

    supernet: Supernet
    config: SupernetConfig
    step: int
    fingerprint: str
    images: str | None = None

    @property
    def space(self) -> SearchSpace:
        return self.supernet.space

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the images that the supernet was trained on."""
        data = self.config.data
        mean, std = (data.mean, data.std) if data.mean else statistics_of(data.name)
        return Preprocessing.from_settings(mean=mean, std=std, crop_share=data.crop_share or data.default_crop_share)

    def path_weights(self, genome: Sequence[int]) -> dict[str, np.ndarray]:
        """Return the weights of a path by name; see `Supernet.path_weights`."""
        return self.supernet.path_weights(genome)


def load_supernet(directory: str | Path) -> TrainedSupernet:
    """Load a supernet from the newest intact checkpoint of a run directory.

    Raises:
        CheckpointError: if there is no intact checkpoint, config.json is missing or damaged, or the run directory is a
            remote one that was copied there without markers.

    Example:
        >>> trained = load_supernet("runs/supernet")
        >>> model = trained.supernet.extract((12, 1, 12, 6, 3, 8))
    """
    directory = as_path(directory)
    check_markers(directory)
    path = directory / "config.json"
    try:
        config = SupernetConfig.from_dict(_read_settings(path))
    except FileNotFoundError as error:
        raise CheckpointError(f"no supernet in {directory}: it has no config.json") from error
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    checkpoint = CheckpointStore(directory, kind=KIND, fingerprint=None).restore()
    if checkpoint is None:
        raise CheckpointError(f"no supernet in {directory}: it has no checkpoint")
    supernet = Supernet(config.space, seed=config.seed, init=config.init)
    supernet.load_state(checkpoint.arrays)
    digest = hashlib.sha256()
    for name, value in sorted(supernet.state().items()):
        digest.update(name.encode() + value.tobytes())
    return TrainedSupernet(
        supernet=supernet,
        config=config,
        step=checkpoint.step,
        fingerprint=digest.hexdigest()[:16],
        images=(checkpoint.settings or {}).get("images"),
    )
