"""What is measured of networks: instructions of their int8 files on an emulated ARM64 processor, and test accuracy."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from pathlib import Path

import keras
import numpy as np

from benchmarks.network_files import hash_of, hash_of_sources
from scarlet_tf.arch import SearchSpace
from scarlet_tf.arch.cost_table import CostTable
from scarlet_tf.data import open_dataset
from scarlet_tf.export import export_tflite
from scarlet_tf.latency.journal import Journal
from scarlet_tf.latency.table_maker import make_table
from scarlet_tf.latency.table_targets import Arm64Target, Target
from scarlet_tf.models import build, get_weights, measure_batch_norms, set_weights
from scarlet_tf.progress import progress
from scarlet_tf.supernet import PathEvaluator, TrainedSupernet

_FORMAT = "int8"
_CALIBRATION_IMAGES = 100  # for int8
# What determines a file and its rewriting, below scarlet_tf.
_SOURCES = [f"{room}/**/*.py" for room in ("arch", "layers", "models", "export", "tflite", "latency")]
_SOURCES += ["tflite/costs/*.json"]


def get_table(space: SearchSpace, cache: Path, *, target: Target | None = None) -> CostTable:
    """Return the table of a space's int8 files, from the cache if it holds one of the same sources and versions."""
    target = target or Arm64Target()
    path = cache / f"table_{_made_by(target, space.to_dict())}.json"
    if path.exists():
        return CostTable.load(path)
    cache.mkdir(parents=True, exist_ok=True)
    return make_table(space, target, path, quantize=_FORMAT)


class MeasuredFiles:
    """int8 files of a supernet's models, and the cost of each.

    Args:
        trained: the supernet.
        calibration: training images (N, H, W, 3) float32, for BN statistics; the first ones also calibrate int8.
        cache: folder of the files and costs.
        target: what to measure on; None: `Arm64Target`.
    """

    def __init__(
        self, trained: TrainedSupernet, *, calibration: np.ndarray, cache: Path, target: Target | None = None
    ) -> None:
        self._trained, self._calibration, self._target = trained, calibration, target or Arm64Target()
        own = Path(__file__).read_text(encoding="utf-8")
        used = [own, trained.fingerprint, hashlib.sha256(calibration.tobytes()).hexdigest()]
        made_by = _made_by(self._target, used)
        self._folder = cache / f"files_{made_by}"

    def count(self, genomes: np.ndarray) -> np.ndarray:
        """Return the costs of genomes, (n, num_layers) ints -> (n,) float64; export and measure those not kept."""
        self._folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(self._folder / "costs.jsonl", {"target": self._target.name, **self._target.settings})
        names = {"_".join(map(str, genome)): genome for genome in genomes.tolist()}
        missing = {name: genome for name, genome in names.items() if name not in journal.samples}
        paths = {name: self._write(name, genome) for name, genome in progress(missing.items(), "export", unit="model")}
        self._target.measure(paths, journal)
        return np.array([np.median(journal.samples["_".join(map(str, genome))]) for genome in genomes.tolist()])

    def _write(self, name: str, genome: list[int]) -> Path:
        path = self._folder / f"{name}.tflite"
        if not path.exists():
            model = make_model(self._trained, genome, calibration=self._calibration)
            export_tflite(model, path, quantize=_FORMAT, representative=[self._calibration[:_CALIBRATION_IMAGES]])
        return path


def make_model(trained: TrainedSupernet, genome: list[int], *, calibration: np.ndarray):
    """Return a genome's stand-alone Keras model, as far as possible with the supernet's weights.

    A skipped layer is a LET in the supernet and an identity here, which keeps the width of its input. What has another
    shape than in the supernet for that reason has random weights. BN statistics are those of the calibration images.
    """
    keras.utils.set_random_seed(0)
    model = build(trained.space.spec(genome))
    supernet = trained.path_weights(genome)
    weights = get_weights(model)
    fitting = {name: supernet[name] for name in weights if supernet[name].shape == weights[name].shape}
    set_weights(model, weights | fitting)
    measure_batch_norms(model, [calibration])
    _revive_squeezes(model, calibration)
    return model


def _revive_squeezes(model, images: np.ndarray) -> None:
    """Raise the biases of squeeze-and-excite layers that are 0 on all images.

    Such a layer has no range to quantize: its scale is too small for XNNPACK, and LiteRT cannot run the file.
    """
    for layer in model.layers:
        if layer.name.endswith("_se_reduce"):
            squeeze = keras.Model(model.input, [layer.input, layer.output])
            before, after = squeeze(images)
            if not np.asarray(after).any():
                products = np.asarray(before).reshape(len(images), -1) @ np.asarray(layer.kernel)[0, 0]
                layer.bias.assign(1 - products.min(axis=0))


def measure_test_accuracies(
    trained: TrainedSupernet, calibration: np.ndarray, genomes: np.ndarray, *, data_dir: str | None = None
) -> np.ndarray:
    """Return one-shot accuracies on all test images, BN recalibrated: (n, num_layers) ints -> (n,) float64."""
    config = dataclasses.replace(trained.config.data, augment="none", data_dir=data_dir)
    data = open_dataset(config, splits=["test"])
    paths = PathEvaluator(trained.supernet, bn="recalibrated", calibration=calibration)
    batches = data.eval_batches("test", paths.chunk).as_numpy_iterator()
    return paths.correct_answers(genomes, batches) / data.num_examples["test"]


def _made_by(target: Target, used: object) -> str:
    """Return a hash of what costs depend on: sources, versions, target, and what else is used, as JSON values."""
    versions = {name: version for name, version in target.describe()[1].items() if name != "made"}
    versions |= {name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}
    described = json.dumps([versions, target.name, target.settings, used], sort_keys=True)
    return hash_of((hash_of_sources(_SOURCES) + described).encode())
