"""Compressing a trained network: from a folder to a folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.compression.clustering import ClusteredModel, absorb_norms
from scarlet_tf.compression.config import CompressionConfig, CompressionError
from scarlet_tf.compression.pruning import PrunedModel
from scarlet_tf.compression.qat import QuantizedModel
from scarlet_tf.compression.ranges import FILE, write_ranges
from scarlet_tf.compression.source import Source
from scarlet_tf.compression.step import CompressedModel, FineTuneState
from scarlet_tf.compression.twin import make_twin
from scarlet_tf.data import ImageData
from scarlet_tf.models import build, set_weights
from scarlet_tf.training import folder
from scarlet_tf.training.checkpoints import fingerprint
from scarlet_tf.training.evaluation import evaluate
from scarlet_tf.training.session import count_steps, run_session
from scarlet_tf.training.strategy import make_strategy


def compress(
    source: Source,
    data: ImageData,
    config: CompressionConfig,
    *,
    output: str | os.PathLike,
    checkpoint_every: int = 500,
    log_every: int = 50,
) -> dict:
    """Fine-tunes a network under one compression and leaves a trained model's folder in `output`.

    That is spec.json, model.keras (an ordinary model, gives logits) and training.json with the record "compression";
    from "qat" also qat.npz, see `convert_qat`. Resumes and returns as `training.trainer.train` does.

    Returns:
        The content of training.json. In "compression": the method's settings, the source's fingerprint and its
        metrics on the test split ("source_test"), what the method reached, and for "qat" the metrics of the quantised
        model ("quantized_test"); "test" is model.keras's own.

    Raises:
        ValueError: settings, network and data that do not fit together, or an output folder of another run.
        SystemExit: with code 143, after SIGTERM and a checkpoint.
    """
    _check_fit(source, data, config)
    output = Path(output)
    settings = {
        "spec": source.spec.to_dict(),
        "compression": dataclasses.asdict(config),
        "data": folder.describe_data(data),
        "weights": folder.weights_digest(source.weights),
    }
    mark = fingerprint(settings | {"data": data.fingerprint})
    if finished := folder.finished_result(output, mark, settings=settings):
        return finished
    steps_per_epoch, total_steps = count_steps(data, config.training)
    compressed = _compressed(source, data, config, total_steps=total_steps)
    state = FineTuneState(compressed, config.training, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
    seconds = run_session(
        *(state, data, config.training),
        output=output,
        kind=config.method,
        mark=mark,
        settings=settings,
        strategy=make_strategy("one_device"),
        checkpoint_every=checkpoint_every,
        log_every=log_every,
    )
    weights = compressed.weights()
    model = _keras_model(source, weights)
    record = {
        "method": config.method,
        "sparsity": config.sparsity,
        "clusters": config.clusters,
        "source_fingerprint": source.fingerprint,
        "source_test": dataclasses.asdict(evaluate(_keras_model(source, source.weights), data, "test")),
        "reached": compressed.record(weights),
    }
    files = {}
    if isinstance(compressed, QuantizedModel):
        record["quantized_test"] = dataclasses.asdict(evaluate(compressed.model, data, "test"))
        files[FILE] = lambda path: write_ranges(path, compressed.ranges())
    result = {
        "format": folder.FORMAT,
        "version": folder.FORMAT_VERSION,
        "fingerprint": mark,
        "output": "logits",
        "config": dataclasses.asdict(config.training),
        "data": folder.describe_data(data),
        "class_names": data.class_names,
        "inherited_weights": True,
        "started_from": source.origin,
        "replicas": 1,
        "steps": total_steps,
        "seconds": round(seconds, 1),
        "test": dataclasses.asdict(evaluate(model, data, "test")),
        "compression": record,
    }
    folder.write_folder(output, source.spec, model=model, result=result, more=files)
    return result


def summarize(result: dict) -> str:
    """One line: the test accuracy before and after."""
    record = result["compression"]
    after = record.get("quantized_test", result["test"])["top1"]
    strength = next((f" {record[name]:g}" for name in ("sparsity", "clusters") if record[name] is not None), "")
    return (
        f"test top-1 {record['source_test']['top1']:.4f} before, {after:.4f} after {record['method']}{strength}; "
        f"{result['steps']} steps, {result['seconds']} s"
    )


def _check_fit(source: Source, data: ImageData, config: CompressionConfig) -> None:
    folder.check_fit(source.spec, data, config.training)
    side = data.config.image_size
    if source.input_shape != (side, side, 3):
        raise CompressionError(f"the model takes {source.input_shape}, the images are {(side, side, 3)}")


def _compressed(source: Source, data: ImageData, config: CompressionConfig, *, total_steps: int) -> CompressedModel:
    weights = source.weights
    if config.method == "cluster":
        weights = absorb_norms(weights, epsilon=source.bn.epsilon)
    twin = make_twin(source.spec, weights, input_shape=source.input_shape, bn=source.bn)
    if config.method == "cluster":
        return ClusteredModel(twin, clusters=config.clusters)
    if config.method == "prune":
        return PrunedModel(twin, sparsity=config.sparsity, total_steps=total_steps)
    black, white = (np.divide(np.subtract(pixel, data.mean), data.std) for pixel in (0.0, 1.0))
    return QuantizedModel(twin, input_range=(black.min(), white.max()))


def _keras_model(source: Source, weights: Mapping[str, np.ndarray]):
    model = build(source.spec, input_shape=source.input_shape, classifier_activation=None, bn=source.bn)
    set_weights(model, weights)
    return model
