"""Training one network on its own: from a spec to a folder with the trained model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import ImageData
from scarlet_tf.models import build, set_weights
from scarlet_tf.training.checkpoints import CheckpointStore, fingerprint
from scarlet_tf.training.config import TrainConfig, TrainConfigError
from scarlet_tf.training.distribution import distributed_batches, is_chief
from scarlet_tf.training.evaluation import evaluate
from scarlet_tf.training.loop import run_steps
from scarlet_tf.training.runlog import RunLog
from scarlet_tf.training.step import TrainState
from scarlet_tf.training.strategy import make_strategy

FORMAT, FORMAT_VERSION = "scarlet_tf.training", 1


def train(
    spec: ArchSpec,
    data: ImageData,
    config: TrainConfig,
    *,
    output: str | os.PathLike,
    weights: Mapping[str, np.ndarray] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    checkpoint_every: int = 500,
    log_every: int = 50,
) -> dict:
    """Trains a network and leaves it in `output`: spec.json, model.keras (gives logits), training.json.

    log.jsonl and tensorboard/ stay beside them; checkpoints/ lasts until the result is written. Called again after it
    was killed, it goes on from the last checkpoint and on one device ends with the same weights, bit for bit; called
    again after it ended, it returns the result that is there.

    Args:
        weights: named arrays to start from, as `get_weights` gives; None: the official initialisation.
        strategy: None: "one_device". With several workers `output` must be a folder that all of them see.

    Returns:
        The content of training.json.

    Raises:
        ValueError: settings, network and data that do not fit together, or an output folder of another run.
        SystemExit: with code 143, after SIGTERM and a checkpoint.
    """
    strategy = strategy or make_strategy("one_device")
    _check_fit(spec, data, config, replicas=strategy.num_replicas_in_sync)
    output = Path(output)
    mark = fingerprint(
        {
            "spec": spec.to_dict(),
            "config": dataclasses.asdict(config),
            "data": data.fingerprint,
            "weights": _digest(weights),
            "replicas": strategy.num_replicas_in_sync,
        }
    )
    if (output / "training.json").exists():
        return _finished(output / "training.json", mark)
    state, steps, seconds = _run(
        *(spec, data, config),
        output=output,
        mark=mark,
        weights=weights,
        strategy=strategy,
        checkpoint_every=checkpoint_every,
        log_every=log_every,
    )
    shape = (data.config.image_size, data.config.image_size, spec.input_channels)
    model = build(spec, input_shape=shape, classifier_activation=None)
    set_weights(model, state.final_weights())
    described = dataclasses.asdict(data.config) | {
        "mean": list(data.mean),
        "std": list(data.std),
        "fingerprint": data.fingerprint,
    }
    del described["data_dir"]
    result = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "fingerprint": mark,
        "output": "logits",
        "config": dataclasses.asdict(config),
        "data": described,
        "class_names": data.class_names,
        "inherited_weights": weights is not None,
        "replicas": strategy.num_replicas_in_sync,
        "steps": steps,
        "seconds": round(seconds, 1),
        "test": dataclasses.asdict(evaluate(model, data, "test")),
    }
    if is_chief(strategy):
        _write_result(output, spec, model=model, result=result)
    return result


def _run(
    spec: ArchSpec,
    data: ImageData,
    config: TrainConfig,
    *,
    output: Path,
    mark: str,
    weights: Mapping[str, np.ndarray] | None,
    strategy: tf.distribute.Strategy,
    checkpoint_every: int,
    log_every: int,
) -> tuple[TrainState, int, float]:
    """Makes all steps that are still to be made; (final state, number of steps, seconds of training)."""
    steps_per_epoch = data.num_examples["train"] // config.batch_size
    total_steps = max(1, round(config.epochs * steps_per_epoch))
    state = TrainState(
        *(spec, config),
        strategy=strategy,
        image_size=data.config.image_size,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        weights=weights,
    )
    chief = is_chief(strategy)
    store = (CheckpointStore if chief else _ReadOnlyStore)(output / "checkpoints", kind="training", fingerprint=mark)
    start_step, seconds_before = 0, 0.0
    if checkpoint := store.restore():
        state.load_arrays(checkpoint.arrays)
        start_step, seconds_before = checkpoint.step, float(checkpoint.arrays["seconds"])
    batches = distributed_batches(
        strategy,
        lambda: data.train_batches(config.batch_size, seed=config.seed, start_step=start_step),
        batch_size=config.batch_size,
    )
    started = time.monotonic()

    def seconds() -> float:
        return seconds_before + time.monotonic() - started

    with tempfile.TemporaryDirectory() as aside:
        run_steps(
            log=RunLog(
                output if chief else aside, total_steps=total_steps, start_step=start_step, description="training"
            ),
            store=store,
            take_step=lambda step: state.take_step(step, *next(batches)),
            state=lambda: state.arrays() | {"seconds": np.float64(seconds())},
            start_step=start_step,
            total_steps=total_steps,
            checkpoint_every=checkpoint_every,
            log_every=log_every,
        )
    return state, total_steps, seconds()


def _check_fit(spec: ArchSpec, data: ImageData, config: TrainConfig, *, replicas: int) -> None:
    if spec.classes != data.num_classes:
        raise TrainConfigError(
            f"spec {spec.name!r} has {spec.classes} classes, {data.config.name!r} has {data.num_classes}"
        )
    if config.augment != data.config.augment:
        raise TrainConfigError(
            f"augment is {config.augment!r} in the training settings, {data.config.augment!r} in the data's"
        )
    if config.batch_size > data.num_examples["train"]:
        raise TrainConfigError(
            f"batch_size must be at most the {data.num_examples['train']} training images, got {config.batch_size}"
        )
    if config.batch_size % replicas:
        raise TrainConfigError(f"batch_size must be a multiple of the {replicas} replicas, got {config.batch_size}")


class _ReadOnlyStore(CheckpointStore):
    """For workers other than the chief: they continue from its checkpoints and write none."""

    def save(self, step: int, arrays: Mapping[str, np.ndarray], metadata: Mapping | None = None) -> Path:
        return self.directory


def _digest(weights: Mapping[str, np.ndarray] | None) -> str | None:
    if weights is None:
        return None
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def _finished(path: Path, mark: str) -> dict:
    try:
        result = json.loads(path.read_text())
        same = result["fingerprint"] == mark
    except (ValueError, KeyError, TypeError) as error:
        raise TrainConfigError(f"{path} is damaged: {error}; delete it to train again") from error
    if not same:
        raise TrainConfigError(f"{path.parent} holds the result of other settings: choose another output folder")
    return result


def _write_result(output: Path, spec: ArchSpec, *, model, result: dict) -> None:
    """Writes the three files under temporary names first, training.json last: where it is, the others are."""
    with tempfile.TemporaryDirectory(dir=output, prefix=".result-") as aside:
        aside = Path(aside)
        spec.save(aside / "spec.json")
        model.save(aside / "model.keras")
        (aside / "training.json").write_text(json.dumps(result, indent=1) + "\n")
        for name in ("spec.json", "model.keras", "training.json"):
            os.replace(aside / name, output / name)
    shutil.rmtree(output / "checkpoints")
