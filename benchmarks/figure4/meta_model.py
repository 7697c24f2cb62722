"""Figure 4: the paper's meta model, nearly half of it LETs, trained stand-alone, with and without ReLU after each LET.

Two networks stand in for the meta model, in spaces of `stand_in_spaces`. In "small", which has 6 layers, layer i has
the gene of the meta model's layer round(18 * i / 5).
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from benchmarks.intervals import Estimate, t_interval
from benchmarks.stand_in_spaces import stand_in
from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.runs.runlog import RunLog
from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.trainer import train

META_GENOME = (1, 3, 1, 0, 12, 0, 0, 0, 12, 12, 12, 12, 12, 0, 0, 0, 12, 12, 9)
NETWORKS = ("small", "deep")
KINDS = ("let", "let_relu")
_BINS = 12  # points per curve


def meta_genome(network: str) -> tuple[int, ...]:
    """Return the meta model's genes for the layers of a network named in NETWORKS."""
    layers = np.linspace(0, len(META_GENOME) - 1, stand_in(network).num_layers).round().astype(int)
    return tuple(META_GENOME[layer] for layer in layers)


def meta_spec(network: str, kind: str, *, classes: int) -> ArchSpec:
    """Return the network named in NETWORKS, with LETs of a kind in KINDS."""
    spec = stand_in(network, classes=classes).spec(meta_genome(network), let=True)
    blocks = tuple(dataclasses.replace(b, kind=kind) if b.kind == "let" else b for b in spec.blocks)
    return dataclasses.replace(spec, name=f"meta_{network}_{kind}", blocks=blocks, genome=None, space=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """Measurements of one network with one kind of LET.

    Attributes:
        steps: (T,) finished steps at the curve's points.
        curve: (seeds, T) accuracy on the training batches, each the mean since the previous point.
        test: (seeds,) final test accuracy, of the averaged weights.
    """

    steps: np.ndarray
    curve: np.ndarray
    test: np.ndarray


def run_figure4(
    data: DataConfig, config: TrainConfig, output: str | Path, *, seeds: int = 3
) -> dict[str, dict[str, Trained]]:
    """Train every network with every kind of LET in folders of `output`; resume runs that were stopped.

    Both kinds of a seed start from the same weights and see the same batches.

    Args:
        data: the dataset; its augmentation is the training config's.
        config: of training; its seed is not used.
        output: folder of the run directories, NETWORK_KIND_seedN.
        seeds: number of seeds, 0..seeds-1.

    Returns:
        Measurements by network and kind.

    Raises:
        ValueError: for settings that do not fit, or a folder with a run of other settings.
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
    """Return (steps, training accuracy) of a log, averaged in _BINS equal parts."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    parts = np.array_split(np.array([(line["step"], line["accuracy"]) for line in lines]), min(_BINS, len(lines)))
    return np.array([part[-1, 0] for part in parts]), np.array([part[:, 1].mean() for part in parts])


def _gather(runs: list) -> Trained:
    steps, curves, tests = zip(*runs, strict=True)
    return Trained(steps=steps[0], curve=np.stack(curves), test=np.array(tests))


def compare_relu(trained: dict[str, Trained]) -> dict[str, Estimate]:
    """Return without minus with ReLU, for training accuracy in the last part and test accuracy; paired t intervals."""
    plain, relu = trained["let"], trained["let_relu"]
    return {
        "training": t_interval(plain.curve[:, -1] - relu.curve[:, -1]),
        "test": t_interval(plain.test - relu.test),
    }
