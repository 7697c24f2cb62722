"""Train the supernets of the experiment and measure their paths, resuming what was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.garment_pairs.drawing import SIDE
from benchmarks.let_at_depth.depth_config import ARMS, DepthConfig, Row, measured_paths
from benchmarks.let_at_depth.identity_effects import measure_effects
from scarlet_tf.data import DataConfig, ImageData, open_dataset
from scarlet_tf.files import write_atomically
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import (
    InitConfig,
    PathEvaluator,
    Supernet,
    SupernetConfig,
    train_supernet,
)

HELD_OUT = 5000  # images
Accuracies = Mapping[str, Mapping[str, list[float]]]


def supernet_config(row: Row, *, data_dir: str | None) -> SupernetConfig:
    """Return the config of a row's supernet."""
    condition = row.condition
    return SupernetConfig(
        space=condition.space(row.arm),
        init=InitConfig(let=ARMS[row.arm][2], residual_gamma=condition.residual_gamma),
        data=DataConfig(name="garment_pairs", image_size=SIDE, search_validation=HELD_OUT, data_dir=data_dir),
        steps=condition.steps,
        batch_size=condition.batch_size,
        learning_rate=condition.learning_rate,
        warmup_steps=condition.steps // 8,
        shared_gradient=condition.shared_gradient,
        seed=row.seed,
    )


class Measurement:
    """Measures a row's paths halfway and at the end; see plan.md.

    Args:
        row: the run.
        data: its images.
        images: how many to measure on.
        folder: gets halfway.json and end.json, {measure: {group of paths: accuracies}}. The measures are "training" on
            training images, with their batch statistics; at the end also "held_out" with the same statistics, and
            "moving" on training images with moving statistics.
    """

    def __init__(self, row: Row, data: ImageData, *, images: int, folder: Path) -> None:
        self._row, self._folder = row, folder
        self._paths = measured_paths(row.condition, row.arm)
        self._training = data.arrays("train", limit=images)
        self._held_out = data.arrays("search_validation", limit=images)

    def __call__(self, step: int, supernet: Supernet) -> None:
        """Measure, if the step is due; a callback `after_step` of `train_supernet`."""
        steps = self._row.condition.steps
        if step == steps // 2:
            self._write("halfway", {"training": self._training_accuracies(supernet)})
        elif step == steps:
            self._write("end", self._all(supernet))

    def _training_accuracies(self, supernet: Supernet) -> dict[str, list[float]]:
        images, labels = self._training
        evaluator = PathEvaluator(supernet, bn="recalibrated", calibration=images)
        return self._of(evaluator, images, labels)

    def _all(self, supernet: Supernet) -> Accuracies:
        recalibrated = PathEvaluator(supernet, bn="recalibrated", calibration=self._training[0])
        return {
            "training": self._of(recalibrated, *self._training),
            "held_out": self._of(recalibrated, *self._held_out),
            "moving": self._of(PathEvaluator(supernet, bn="moving"), *self._training),
        }

    def _of(self, evaluator: PathEvaluator, images: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
        together = np.concatenate(list(self._paths.values()))  # which shares prefixes
        ends = np.cumsum([len(genomes) for genomes in self._paths.values()])[:-1]
        parts = np.split(evaluator.accuracies(together, images, labels), ends)
        return {group: part.tolist() for group, part in zip(self._paths, parts, strict=True)}

    def _write(self, name: str, accuracies: Accuracies) -> None:
        write_atomically(self._folder / f"{name}.json", json.dumps(accuracies) + "\n")


def run_row(
    config: DepthConfig, row: Row, folder: Path, rows: Mapping[str, dict], *, data_dir: str | None
) -> dict[str, dict]:
    """Train and measure a row; what is in its folder is not done again.

    Args:
        config: the experiment.
        row: the run.
        folder: run directory of the row.
        rows: not used; a row does not depend on others.
        data_dir: data folder of tensorflow-datasets.

    Returns:
        {"halfway": accuracies, "end": accuracies}, see `Measurement`, and in the conditions `config.effects` also
        "effects", see `measure_effects`.
    """
    parts = ["halfway", "end"]
    if not (folder / "end.json").exists():
        _train_and_measure(row, folder, images=config.images, data_dir=data_dir)
    if row.label in config.effects:
        parts.append("effects")
        if not (folder / "effects.json").exists():
            _measure_effects(row, folder, images=config.images, data_dir=data_dir)
    return {part: json.loads((folder / f"{part}.json").read_text(encoding="utf-8")) for part in parts}


def _train_and_measure(row: Row, folder: Path, *, images: int, data_dir: str | None) -> None:
    measurement = Measurement(
        row, open_dataset(supernet_config(row, data_dir=data_dir).data), images=images, folder=folder
    )
    supernet = _trained(row, folder, data_dir=data_dir, after_step=measurement)
    if not (folder / "end.json").exists():  # the run was stopped after its last checkpoint
        measurement(row.condition.steps, supernet)


def _measure_effects(row: Row, folder: Path, *, images: int, data_dir: str | None) -> None:
    data = open_dataset(supernet_config(row, data_dir=data_dir).data)
    supernet = _trained(row, folder, data_dir=data_dir)  # if it was stopped before its last checkpoint, it resumes
    effects = measure_effects(supernet, row.condition, *data.arrays("train", limit=images))
    write_atomically(folder / "effects.json", json.dumps(effects) + "\n")


def _trained(row: Row, folder: Path, *, data_dir: str | None, after_step: Callable | None = None) -> Supernet:
    settings = supernet_config(row, data_dir=data_dir)
    strategy = make_strategy("one_device")
    return train_supernet(settings, folder, strategy=strategy, checkpoint_every=100, after_step=after_step)
