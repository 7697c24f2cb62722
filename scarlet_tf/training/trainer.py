"""The trainer of stand-alone networks: from a spec to a folder with the trained model."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import ImageData
from scarlet_tf.files import locked_folder
from scarlet_tf.layers import BatchNorm
from scarlet_tf.models import build, get_weights, measure_batch_norms, set_weights
from scarlet_tf.paths import as_path
from scarlet_tf.runs.checkpoints import fingerprint
from scarlet_tf.runs.distribution import is_chief
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.runs.workers import naming_lost_workers
from scarlet_tf.training import folder
from scarlet_tf.training.config import MEASURED_IMAGES, TrainConfig, too_few_for_moving_statistics
from scarlet_tf.training.evaluation import Evaluator, Metrics
from scarlet_tf.training.selection import Selection
from scarlet_tf.training.session import balanced_class_weights, count_steps, run_session
from scarlet_tf.training.step import TrainState

_MEASURED_BATCH = 128  # batch size for measuring batch normalisation statistics


def train(
    spec: ArchSpec,
    data: ImageData,
    config: TrainConfig,
    *,
    output: str | os.PathLike,
    weights: Mapping[str, np.ndarray] | None = None,
    origin: str | None = None,
    name: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
    checkpoint_every: int = 500,
    keep_checkpoints: int = 3,
    log_every: int = 50,
    steps_per_call: int = 1,
    jit_compile: bool = False,
) -> dict:
    """Train a network and write it to `output`: spec.json, model.keras (returns logits) and training.json.

    `output` also holds log.jsonl, tensorboard/, and plots of the curves, curves.png, and of the confusion matrix on the
    test images, confusion.png. checkpoints/ is deleted once the result is written. To resume a killed run, call this
    again: it resumes from the last checkpoint and, on one device, ends with the same weights, bit for bit. If
    the run has finished, the existing result is returned. During a run the folder is locked against other runs.

    With validation images in `data`, the network is evaluated on them after every epoch, as it would be kept: with
    averaged weights if the recipe has them, and with measured statistics if they are due.

    Args:
        spec: the network.
        data: the dataset.
        config: the training settings.
        output: the run directory, local or remote.
        weights: named arrays to start from, as `get_weights` returns them, with or without the classifier's; None: the
            official initialisation.
        origin: description of the origin of `weights`, for the record.
        name: of the trained network in its records; None: the spec's.
        strategy: None: "one_device". With several workers, all must see the folder `output`.
        checkpoint_every, log_every: number of steps.
        keep_checkpoints: number of newest checkpoints to keep during the run.
        steps_per_call: most steps in one call of TensorFlow, to spare a fast accelerator the time between calls. A call
            ends at every step that is logged, saved or validated. May change when a run resumes.
        jit_compile: see `TrainState`; may change when a run resumes.

    Returns:
        The content of training.json.

    Raises:
        ValueError: if settings, network and data do not fit together, or `output` belongs to another run.
        WorkerLostError: if TensorFlow reports that another worker has ended.
        SystemExit: with code 143, after SIGTERM and a checkpoint.
    """
    strategy = strategy or make_strategy("one_device")
    folder.check_fit(spec, data, config, replicas=strategy.num_replicas_in_sync, inherited=weights is not None)
    output = as_path(output)
    settings = {
        "spec": spec.to_dict(),
        "config": config.to_dict(),
        "data": folder.describe_data(data),
        "weights": folder.weights_digest(weights),
        "replicas": 1,  # any number resumes; the entry keeps the fingerprints of runs that were made before it did
    }
    if config.frozen_epochs:
        settings["frozen_optimizer"] = "separate"  # before, frozen steps used the optimizer of all weights
    mark = fingerprint(settings | {"data": data.fingerprint})
    if finished := folder.finished_result(output, mark, settings=settings):
        return finished
    locked = locked_folder(output) if is_chief(strategy) else contextlib.nullcontext()
    with locked, naming_lost_workers("its last checkpoint"):
        if finished := folder.finished_result(output, mark, settings=settings):
            return finished  # by another process, since the check above
        class_weights = balanced_class_weights(data) if config.class_weight == "balanced" else None
        steps_per_epoch, total_steps = count_steps(data, config)
        counts = {"steps_per_epoch": steps_per_epoch, "total_steps": total_steps}
        started = {"image_shape": data.config.image_shape, "weights": weights, "class_weights": class_weights}
        how = {"normalise": data.normalise, "steps_per_call": steps_per_call, "jit_compile": jit_compile}
        state = TrainState(spec, config, strategy=strategy, **counts, **started, **how)
        outcome = _Outcome(dataclasses.replace(spec, name=name or spec.name), state, data)
        selection = None
        if "validation" in data.num_examples:
            selection = Selection(outcome.judge, config, strategy=strategy, **counts)
        seconds = run_session(
            *(state, data, config),
            output=output,
            kind="training",
            mark=mark,
            settings=settings,
            strategy=strategy,
            checkpoint_every=checkpoint_every,
            keep_checkpoints=keep_checkpoints,
            log_every=log_every,
            steps_per_call=steps_per_call,
            selection=selection,
        )
        steps = selection.step if selection else total_steps
        if selection and selection.best_weights:
            outcome.take(selection.best_weights, step=selection.best_step)
        else:
            outcome.update(steps)
        result = {
            "format": folder.FORMAT,
            "version": folder.FORMAT_VERSION,
            "name": outcome.spec.name,
            "fingerprint": mark,
            "output": "logits",
            "config": config.to_dict(),
            "data": folder.describe_data(data),
            "class_names": data.class_names,
            "class_weights": folder.by_class(data, class_weights),
            "inherited_weights": weights is not None,
            "started_from": origin,
            "replicas": strategy.num_replicas_in_sync,
            "steps": steps,
            "seconds": round(seconds, 1),
            "averaged_weights": config.ema > 0,
            **{name: settings[name] for name in ("frozen_optimizer",) if name in settings},
            "measured_images": outcome.measured_images,
            "selection": selection and selection.describe(),
            "validation": selection and outcome.evaluate("validation").to_dict(),
            "test": outcome.evaluate("test").to_dict(),
        }
        if is_chief(strategy):
            folder.write_folder(output, outcome.spec, model=outcome.model, result=result)
    return result


def measure_statistics(model: keras.Model, data: ImageData, *, images: int = MEASURED_IMAGES) -> None:
    """Set a network's batch normalisation statistics to those of training images, all of them if there are fewer."""
    measure_batch_norms(model, data.sample_batches(_MEASURED_BATCH, limit=images))


class _Outcome:
    """The network that a run would leave if it ended now, in inference form.

    Attributes:
        measured_images: number of training images on which its batch normalisation statistics were measured; 0: they
            are moving averages.
    """

    def __init__(self, spec: ArchSpec, state: TrainState, data: ImageData) -> None:
        shape = (*data.config.image_shape, spec.input_channels)
        self.spec = spec
        self.model = build(spec, input_shape=shape, classifier_activation=None)
        self.measured_images = 0
        self._state = state
        self._data = data
        self._evaluator = Evaluator(self.model, data)

    def update(self, step: int) -> None:
        """Take the state's weights after `step` steps, averaged if possible, and measure statistics if due."""
        set_weights(self.model, self._state.final_weights())
        self.measured_images = self._due(step)
        if self.measured_images:
            measure_statistics(self.model, self._data, images=self.measured_images)

    def take(self, weights: Mapping[str, np.ndarray], *, step: int) -> None:
        """Take weights that `judge` returned after `step` steps."""
        set_weights(self.model, weights)
        self.measured_images = self._due(step)

    def judge(self, step: int) -> tuple[dict[str, np.ndarray], Metrics]:
        """Update, and return the weights and their metrics on the validation images."""
        self.update(step)
        return get_weights(self.model), self.evaluate("validation")

    def evaluate(self, split: str) -> Metrics:
        return self._evaluator.evaluate(split)

    def _due(self, step: int) -> int:
        """Return the number of images to measure statistics on; frozen steps do not move the statistics."""
        config, moved = self._state.config, step - self._state.frozen_steps
        if moved <= 0:
            return 0
        averaged = config.ema > 0 and config.measured_images is None
        wrong = averaged or too_few_for_moving_statistics(moved, momentum=BatchNorm().momentum)
        images = config.measured_images or (MEASURED_IMAGES if wrong else 0)
        return min(images, self._data.num_examples["train"])
