"""Messages of train.py: notes and warnings before a run, and one line about its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from scarlet_tf.data import ImageData
from scarlet_tf.layers import BatchNorm
from scarlet_tf.training.config import (
    MEASURED_IMAGES,
    TrainConfig,
    suggest_batch_size,
    too_few_for_moving_statistics,
)
from scarlet_tf.training.evaluation import summarize_metrics
from scarlet_tf.training.session import balanced_class_weights, count_steps

_MOST_CLASSES = 10  # listed individually


def notes_before(data: ImageData, config: TrainConfig) -> Iterator[str]:
    """Yield a line for every setting whose effect depends on the images."""
    if config.class_weight == "balanced":
        yield f"class weights: {_describe(dict(zip(data.class_names, balanced_class_weights(data), strict=True)))}"
    if data.config.validation is None:
        return
    count, left = data.num_examples["validation"], data.num_examples["train"]
    if isinstance(data.config.validation, float):
        images = f"{count} held-out training images, {left} remain for training"
    else:
        images = f"{count} images of the split {data.config.validation!r}"
    yield f"validation of the {'averaged ' if config.ema else ''}weights after every epoch: {images}"


def warnings_before(data: ImageData, config: TrainConfig) -> Iterator[str]:
    """Yield a line for every likely cause of a poor result."""
    count, batch = data.num_examples["train"], config.batch_size
    if batch > count:
        return  # `check_fit` raises the error
    if better := suggest_batch_size(count, batch):
        made = f"{count // batch} step{'s' * (count // batch > 1)}"
        yield (
            f"{count} training images in batches of {batch} give {made} per epoch, --batch_size={better} gives "
            f"{count // better}"
        )
    if "validation" not in data.num_examples:
        return
    if data.validates_on_test and (config.keep == "best" or config.patience):
        flag = f"--validation={data.config.validation}"
        yield f"the weights are chosen on the test images ({flag}): the test accuracy will be too high"
    for name, images in zip(data.class_names, data.class_counts("validation"), strict=True):
        if not images:
            yield f"class {name!r} has no validation images"


def statistics_warning(data: ImageData, config: TrainConfig) -> Iterator[str]:
    """Yield a line if the run is so short that `train` will measure batch normalisation statistics."""
    count = data.num_examples["train"]
    if config.batch_size > count:
        return
    steps_per_epoch, steps = count_steps(data, config)
    moved = steps - round(config.frozen_epochs * steps_per_epoch)
    if moved > 0 and too_few_for_moving_statistics(moved, momentum=BatchNorm().momentum):
        images = min(config.measured_images or MEASURED_IMAGES, count)
        yield (
            f"{moved} step{'s' * (moved > 1)} are too few for moving batch normalisation statistics, which are "
            f"measured on {images} training images instead; more epochs or a smaller batch size give more steps"
        )


def summarize_result(result: Mapping) -> str:
    """Summarise a training.json, possibly an older one, in one line."""
    classes = len(result["class_names"])
    parts = [f"test {summarize_metrics(result['test'], classes=classes)}"]
    if selection := result.get("selection"):
        parts.append(f"validation {summarize_metrics(result['validation'], classes=classes)}")
        if selection["keep"] == "best" and selection["best_step"] is not None:
            averaged = "averaged weights" if result.get("averaged_weights") else "weights"
            parts.append(f"{averaged} of step {selection['best_step']} kept")
        if selection["stopped_early"]:
            parts.append("stopped early")
    return "; ".join([*parts, f"{result['steps']} steps, {result['seconds']} s"])


def _describe(weights: Mapping[str, np.ndarray]) -> str:
    """Format the weights by class; with many classes, only the lowest and the highest."""
    if len(weights) <= _MOST_CLASSES:
        return ", ".join(f"{name} {weight:.4g}" for name, weight in weights.items())
    low, high = min(weights, key=weights.get), max(weights, key=weights.get)
    return f"from {weights[low]:.4g} ({low}) to {weights[high]:.4g} ({high})"
