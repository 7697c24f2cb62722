"""Compression of a trained network, from one trained model's folder to another."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.compression.clustering import ClusteredModel, absorb_norms
from scarlet_tf.compression.config import CompressionConfig, CompressionError
from scarlet_tf.compression.int8 import (
    OF_SOURCE,
    POST_TRAINING,
    CalibrationImages,
    compare_int8,
    describe_int8,
    set_best_ranges,
    set_measured_ranges,
)
from scarlet_tf.compression.pruning import PrunedModel
from scarlet_tf.compression.qat import QuantizedModel
from scarlet_tf.compression.ranges import FILE, write_ranges
from scarlet_tf.compression.source import Source
from scarlet_tf.compression.step import CompressedModel, FineTuneState
from scarlet_tf.compression.twin import make_twin
from scarlet_tf.data import ImageData
from scarlet_tf.files import locked_folder
from scarlet_tf.models import build, set_weights
from scarlet_tf.paths import as_path
from scarlet_tf.runs.checkpoints import fingerprint
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.training import folder
from scarlet_tf.training.evaluation import Evaluator, Metrics, evaluate
from scarlet_tf.training.selection import Selection
from scarlet_tf.training.session import balanced_class_weights, count_steps, run_session


def compress(
    source: Source,
    data: ImageData,
    config: CompressionConfig,
    *,
    output: str | os.PathLike,
    name: str | None = None,
    checkpoint_every: int = 500,
    keep_checkpoints: int = 3,
    log_every: int = 50,
) -> dict:
    """Fine-tune a network under one compression, and write a trained model's folder.

    The folder holds spec.json, model.keras (an ordinary model that returns logits), and training.json with the record
    "compression"; with "qat" also qat.npz, see `convert_qat`. Resumes and returns as `training.trainer.train` does.

    Args:
        source: the trained network, see `open_source`.
        data: its dataset.
        config: method and settings.
        output: the run directory, local or remote.
        name: of the compressed network in its records; default: the source's.
        checkpoint_every, log_every: steps between checkpoints, and between lines of the log.
        keep_checkpoints: number of newest checkpoints to keep during the run.

    Returns:
        The content of training.json. Its "compression" holds the method's settings, the source's fingerprint and its
        metrics on the test split ("source_test"), what the method reached, and for "qat" the metrics of the quantised
        model ("quantized_test") and its int8 file beside post-training ones ("int8", see `compare_int8`). "test" holds
        the metrics of model.keras.

    Raises:
        ValueError: if settings, network and data do not fit together, or the output folder holds another run.
        SystemExit: with code 143, after SIGTERM and a checkpoint.
    """
    _check_fit(source, data, config)
    output = as_path(output)
    settings = {
        "spec": source.spec.to_dict(),
        "compression": config.to_dict(),
        "data": folder.describe_data(data),
        "weights": folder.weights_digest(source.weights),
    }
    mark = fingerprint(settings | {"data": data.fingerprint})
    if finished := folder.finished_result(output, mark, settings=settings):
        return finished
    with locked_folder(output):
        if finished := folder.finished_result(output, mark, settings=settings):
            return finished  # by another process, since the first check
        class_weights = balanced_class_weights(data) if config.training.class_weight == "balanced" else None
        steps_per_epoch, total_steps = count_steps(data, config.training)
        counts = {"steps_per_epoch": steps_per_epoch, "total_steps": total_steps}
        strategy = make_strategy("one_device")
        compressed = _compressed(source, config, total_steps=total_steps)
        teacher = images = None
        if isinstance(compressed, QuantizedModel):
            teacher, images = _twin(source, source.weights), CalibrationImages.draw(data)
            set_measured_ranges(compressed, teacher, images)
        how = {"class_weights": class_weights, "teacher": teacher, "normalise": data.normalise}
        state = FineTuneState(compressed, config.training, **how, **counts)
        selection = None
        if "validation" in data.num_examples:
            selection = Selection(_judge(state, data), config.training, strategy=strategy, **counts)
        seconds = run_session(
            *(state, data, config.training),
            output=output,
            kind=config.method,
            mark=mark,
            settings=settings,
            strategy=strategy,
            checkpoint_every=checkpoint_every,
            keep_checkpoints=keep_checkpoints,
            log_every=log_every,
            selection=selection,
        )
        if selection and selection.best_weights:
            state.load_arrays(selection.best_weights)
        steps = selection.step if selection else total_steps
        weights = compressed.weights()
        spec = dataclasses.replace(source.spec, name=name or source.spec.name)
        model = _keras_model(spec, source, weights)
        evaluator = Evaluator(model, data)
        before = _keras_model(source.spec, source, source.weights)
        record = {
            "method": config.method,
            "sparsity": config.sparsity,
            "clusters": config.clusters,
            "source_fingerprint": source.fingerprint,
            "source_test": evaluate(before, data, "test").to_dict(),
            "reached": compressed.record(weights),
        }
        files = {}
        if isinstance(compressed, QuantizedModel):
            record["ranges"] = set_best_ranges(compressed, _twin(source, weights), model, images)
            record["int8"] = compare_int8(compressed, {POST_TRAINING: model, OF_SOURCE: before}, data, images)
            record["quantized_test"] = evaluate(compressed.model, data, "test").to_dict()
            files[FILE] = lambda path: write_ranges(path, compressed.ranges())
        result = {
            "format": folder.FORMAT,
            "version": folder.FORMAT_VERSION,
            "name": spec.name,
            "fingerprint": mark,
            "output": "logits",
            "config": config.training.to_dict(),
            "data": folder.describe_data(data),
            "class_names": data.class_names,
            "class_weights": folder.by_class(data, class_weights),
            "inherited_weights": True,
            "started_from": source.origin,
            "replicas": 1,
            "steps": steps,
            "seconds": round(seconds, 1),
            "selection": selection and selection.describe(),
            "validation": selection and evaluator.evaluate("validation").to_dict(),
            "test": evaluator.evaluate("test").to_dict(),
            "compression": record,
        }
        folder.write_folder(output, spec, model=model, result=result, more=files)
    return result


def _judge(state: FineTuneState, data: ImageData) -> Callable[[int], tuple[dict[str, np.ndarray], Metrics]]:
    """Return a function that evaluates the compressed network on the validation images, see `Selection`."""
    evaluator = Evaluator(state.compressed.model, data)

    def judge(step: int) -> tuple[dict[str, np.ndarray], Metrics]:
        arrays = state.arrays()
        if isinstance(state.compressed, PrunedModel):
            state.compressed.apply_masks()
        metrics = evaluator.evaluate("validation")
        state.load_arrays(arrays)
        return arrays, metrics

    return judge


def summarize(result: dict) -> str:
    """Describe the test top-1 before and after `compress` in one line; for "qat", add a line on int8 files.

    Args:
        result: what `compress` returned.
    """
    record = result["compression"]
    after = record.get("quantized_test", result["test"])["top1"]
    strength = next((f" {record[name]:g}" for name in ("sparsity", "clusters") if record[name] is not None), "")
    line = (
        f"test top-1 {record['source_test']['top1']:.4f} before, {after:.4f} after {record['method']}{strength}; "
        f"{result['steps']} steps, {result['seconds']} s"
    )
    return f"{line}\n{describe_int8(record['int8'])}" if "int8" in record else line


def _check_fit(source: Source, data: ImageData, config: CompressionConfig) -> None:
    folder.check_fit(source.spec, data, config.training)
    images = (*data.config.image_shape, 3)
    if source.input_shape != images:
        raise CompressionError(
            f"the model expects input shape {source.input_shape}, but the images have shape {images}"
        )
    if source.class_names and list(source.class_names) != list(data.class_names):
        raise CompressionError(
            f"{data.config.name!r} must have the classes that the model was trained on, in the same order: "
            f"expected {_shown(source.class_names)}, got {_shown(data.class_names)}"
        )
    for name in ("mean", "std"):
        given, wanted = getattr(data, name), getattr(source.preprocessing, name)
        if tuple(given) != wanted:
            raise CompressionError(f"{name} of the images must be {wanted}, as in the model's training, got {given}")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + ", ..." * (len(names) > 5)


def _compressed(source: Source, config: CompressionConfig, *, total_steps: int) -> CompressedModel:
    weights = source.weights
    if config.method == "cluster":
        weights = absorb_norms(weights, epsilon=source.bn.epsilon)
    twin = _twin(source, weights)
    if config.method == "cluster":
        return ClusteredModel(twin, clusters=config.clusters)
    if config.method == "prune":
        return PrunedModel(twin, sparsity=config.sparsity, total_steps=total_steps)
    return QuantizedModel(twin)


def _twin(source: Source, weights: Mapping[str, np.ndarray]):
    return make_twin(source.spec, weights, input_shape=source.input_shape, bn=source.bn)


def _keras_model(spec: ArchSpec, source: Source, weights: Mapping[str, np.ndarray]):
    model = build(spec, input_shape=source.input_shape, classifier_activation=None, bn=source.bn)
    set_weights(model, weights)
    return model
