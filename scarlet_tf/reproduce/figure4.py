"""Figure 4: the paper's meta model, nearly half of it LETs, trained on its own with and without a ReLU after each LET.

Two networks stand for the meta model, of spaces of `spaces`. In "small", which has 6 layers, layer i takes the
gene of the meta model's layer round(18 * i / 5).
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.intervals import Estimate, t_interval
from scarlet_tf.reproduce.spaces import stand_in
from scarlet_tf.runs.runlog import RunLog
from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.trainer import train

META_GENOME = (1, 3, 1, 0, 12, 0, 0, 0, 12, 12, 12, 12, 12, 0, 0, 0, 12, 12, 9)
NETWORKS = ("small", "deep")
KINDS = ("let", "let_relu")
_BINS = 12  # points of a curve


def meta_genome(network: str) -> tuple[int, ...]:
    """The meta model's genes for the layers that a network named in NETWORKS has."""
    layers = np.linspace(0, len(META_GENOME) - 1, stand_in(network).num_layers).round().astype(int)
    return tuple(META_GENOME[layer] for layer in layers)


def meta_spec(network: str, kind: str, *, classes: int) -> ArchSpec:
    """The network named in NETWORKS with LETs of a kind of KINDS."""
    spec = stand_in(network, classes=classes).spec(meta_genome(network), let=True)
    blocks = tuple(dataclasses.replace(b, kind=kind) if b.kind == "let" else b for b in spec.blocks)
    return dataclasses.replace(spec, name=f"meta_{network}_{kind}", blocks=blocks, genome=None, space=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """What was measured of one network with one kind of LET.

    Attributes:
        steps: (T,) finished steps at the curve's points.
        curve: (seeds, T) accuracy on the training batches, each the mean since the point before.
        test: (seeds,) test accuracy at the end, of the averaged weights.
    """

    steps: np.ndarray
    curve: np.ndarray
    test: np.ndarray


def run_figure4(
    data: DataConfig, config: TrainConfig, output: str | Path, *, seeds: int = 3
) -> dict[str, dict[str, Trained]]:
    """Trains every network with every kind of LET and all seeds 0..seeds-1, or goes on with that, in folders of
    `output`; what was measured, by network and kind.

    Both kinds of a seed start from the same weights and see the same batches.

    Raises:
        ValueError: settings that do not fit, or a folder that holds a run with others.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be >= 1, got {seeds}")
    images = open_dataset(dataclasses.replace(data, augment=config.augment))
    runs = [(seed, network, kind) for seed in range(seeds) for network in NETWORKS for kind in KINDS]
    curves: dict[tuple, list] = {}
    with RunLog(output, total_steps=len(runs), description="runs") as log:
        for done, (seed, network, kind) in enumerate(runs, start=1):
            folder = Path(output) / f"{network}_{kind}_seed{seed}"
            spec = meta_spec(network, kind, classes=images.num_classes)
            result = train(spec, images, dataclasses.replace(config, seed=seed), output=folder, log_every=1)
            curves.setdefault((network, kind), []).append((*_curve(folder / "log.jsonl"), result["test"]["top1"]))
            log.log(done, {"test_top1": result["test"]["top1"], "seconds": result["seconds"]})
            log.advance(done, {"test_top1": result["test"]["top1"]})
    return {network: {kind: _gather(curves[network, kind]) for kind in KINDS} for network in NETWORKS}


def _curve(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(steps, training accuracy) of a log, averaged in _BINS equal parts."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    parts = np.array_split(np.array([(line["step"], line["accuracy"]) for line in lines]), min(_BINS, len(lines)))
    return np.array([part[-1, 0] for part in parts]), np.array([part[:, 1].mean() for part in parts])


def _gather(runs: list) -> Trained:
    steps, curves, tests = zip(*runs, strict=True)
    return Trained(steps=steps[0], curve=np.stack(curves), test=np.array(tests))


def compare_relu(trained: dict[str, Trained]) -> dict[str, Estimate]:
    """Without less with ReLU: training accuracy over the last part, and test accuracy; t intervals, in pairs."""
    plain, relu = trained["let"], trained["let_relu"]
    return {
        "training": t_interval(plain.curve[:, -1] - relu.curve[:, -1]),
        "test": t_interval(plain.test - relu.test),
    }
