"""Training one network on its own: from a spec to a folder with the trained model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import ImageData
from scarlet_tf.models import build, measure_batch_norms, set_weights
from scarlet_tf.training import folder
from scarlet_tf.training.checkpoints import fingerprint
from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.distribution import is_chief
from scarlet_tf.training.evaluation import evaluate
from scarlet_tf.training.session import count_steps, run_session
from scarlet_tf.training.step import TrainState
from scarlet_tf.training.strategy import make_strategy

_MEASURED_BATCH = 128  # images at a time for batch normalisation's statistics


def train(
    spec: ArchSpec,
    data: ImageData,
    config: TrainConfig,
    *,
    output: str | os.PathLike,
    weights: Mapping[str, np.ndarray] | None = None,
    origin: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
    checkpoint_every: int = 500,
    log_every: int = 50,
) -> dict:
    """Trains a network and leaves it in `output`: spec.json, model.keras (gives logits), training.json.

    log.jsonl and tensorboard/ stay beside them; checkpoints/ lasts until the result is written. Called again after it
    was killed, it goes on from the last checkpoint and on one device ends with the same weights, bit for bit; called
    again after it ended, it returns the result that is there.

    Args:
        weights: named arrays to start from, as `get_weights` gives, the classifier's or not; None: the official
            initialisation.
        origin: where they come from, in words, for the record.
        strategy: None: "one_device". With several workers `output` must be a folder that all of them see.

    Returns:
        The content of training.json.

    Raises:
        ValueError: settings, network and data that do not fit together, or an output folder of another run.
        SystemExit: with code 143, after SIGTERM and a checkpoint.
    """
    strategy = strategy or make_strategy("one_device")
    folder.check_fit(spec, data, config, replicas=strategy.num_replicas_in_sync)
    output = Path(output)
    settings = {
        "spec": spec.to_dict(),
        "config": dataclasses.asdict(config),
        "data": folder.describe_data(data),
        "weights": folder.weights_digest(weights),
        "replicas": strategy.num_replicas_in_sync,
    }
    mark = fingerprint(settings | {"data": data.fingerprint})
    if finished := folder.finished_result(output, mark, settings=settings):
        return finished
    steps_per_epoch, total_steps = count_steps(data, config)
    state = TrainState(
        *(spec, config),
        strategy=strategy,
        image_size=data.config.image_size,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        weights=weights,
    )
    seconds = run_session(
        *(state, data, config),
        output=output,
        kind="training",
        mark=mark,
        settings=settings,
        strategy=strategy,
        checkpoint_every=checkpoint_every,
        log_every=log_every,
    )
    shape = (data.config.image_size, data.config.image_size, spec.input_channels)
    model = build(spec, input_shape=shape, classifier_activation=None)
    set_weights(model, state.final_weights())
    if config.measured_images:
        batches = data.eval_batches("train", _MEASURED_BATCH, limit=config.measured_images)
        measure_batch_norms(model, (images for images, _ in batches))
    result = {
        "format": folder.FORMAT,
        "version": folder.FORMAT_VERSION,
        "fingerprint": mark,
        "output": "logits",
        "config": dataclasses.asdict(config),
        "data": folder.describe_data(data),
        "class_names": data.class_names,
        "inherited_weights": weights is not None,
        "started_from": origin,
        "replicas": strategy.num_replicas_in_sync,
        "steps": total_steps,
        "seconds": round(seconds, 1),
        "test": dataclasses.asdict(evaluate(model, data, "test")),
    }
    if is_chief(strategy):
        folder.write_folder(output, spec, model=model, result=result)
    return result
