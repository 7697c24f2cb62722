"""Figure 1: a supernet's paths during training with LETs, with plain identities, and without an identity.

The arms of a seed start from the same weights (except LETs) and see the same batches. A plain identity is a LET that
keeps its initial value, see `arch.choice.Choice`. The paper does not say how LETs are initialised, so each of two ways
is an arm. As in the paper, accuracy is measured on training images: in every arm on random paths of its own space, the
same in all spaces with an identity, and on random paths without an identity, which all arms have.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from benchmarks.figure1.figure1_config import ARMS, Figure1Config
from benchmarks.intervals import Estimate, t_interval
from benchmarks.stand_in_spaces import IDENTITY
from scarlet_tf.data import open_dataset
from scarlet_tf.files import write_atomically
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import InitConfig, PathEvaluator, Supernet, SupernetConfig, train_supernet


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """Measurements of one arm.

    Attributes:
        genomes: (n, num_layers), random paths of the arm's space.
        steps: (T,) finished steps at each measurement.
        accuracies: (seeds, T, n) of `genomes`.
        without_identity: (seeds, T, n) of the paths without an identity, which all arms have.
        images: number of images measured on; fewer than requested if the dataset has fewer.
    """

    genomes: np.ndarray
    steps: np.ndarray
    accuracies: np.ndarray
    without_identity: np.ndarray
    images: int

    @property
    def mean(self) -> np.ndarray:
        """Mean over the paths `genomes`, (seeds, T)."""
        return self.accuracies.mean(axis=2)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over the paths `genomes`, (seeds, T)."""
        return self.accuracies.std(axis=2)

    def last_mean(self, *, skipping: bool) -> np.ndarray:
        """Return the final mean over those of `genomes` with (`skipping`) or without an identity, (seeds,)."""
        chosen = (self.genomes == IDENTITY).any(axis=1) == skipping
        return self.accuracies[:, -1, chosen].mean(axis=1)


def supernet_config(config: Figure1Config, arm: str, *, seed: int, classes: int) -> SupernetConfig:
    """Return the config of an arm's supernet for a seed."""
    return SupernetConfig(
        space=config.arm_space(arm, classes=classes),
        init=InitConfig(let=ARMS[arm][1]),
        data=config.data,
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        seed=seed,
    )


def run_figure1(config: Figure1Config, output: str | Path) -> dict[str, Arm]:
    """Train all arms with all seeds in folders of `output`; resume runs that were stopped.

    Args:
        config: the experiment.
        output: folder of the run directories, ARM_seedN.

    Returns:
        Measurements by arm.

    Raises:
        CheckpointError: if a folder holds a run with other settings.
        ValueError: if a folder holds measurements of other paths or images, or at other steps.
    """
    data = open_dataset(config.data)
    images, labels = data.arrays("train", limit=config.images)
    probes = {
        (seed, arm): PathProbe(
            Path(output) / f"{arm}_seed{seed}" / "paths.jsonl",
            genomes=config.measured(arm),
            images=images,
            labels=labels,
            every=config.every,
        )
        for seed in range(config.first_seed, config.first_seed + config.seeds)
        for arm in config.arms
    }
    found: dict[str, list] = {arm: [] for arm in config.arms}
    for (seed, arm), probe in probes.items():
        train_supernet(
            supernet_config(config, arm, seed=seed, classes=data.num_classes),
            probe.path.parent,
            strategy=make_strategy("one_device"),
            checkpoint_every=probe.every,
            after_step=probe,
        )
        found[arm].append(read_probe(probe.path))
    return {arm: _gather(runs, config.genomes(arm), images=len(images)) for arm, runs in found.items()}


def _gather(runs: list[tuple[np.ndarray, np.ndarray]], genomes: np.ndarray, *, images: int) -> Arm:
    """Combine what an arm's probes wrote, one run per seed, in the order of `Figure1Config.measured`."""
    measured = np.stack([accuracies for _, accuracies in runs])
    paths = len(genomes)
    return Arm(
        genomes=genomes,
        steps=runs[0][0],
        accuracies=measured[..., :paths],
        without_identity=measured[..., -paths:],
        images=images,
    )


def compare(arms: dict[str, Arm], *, baseline: str) -> dict[str, Estimate]:
    """Return LET minus the baseline at the last step, for means and spreads, with paired t intervals over the seeds.

    Baseline "none" is compared on the paths without an identity, which both arms have; the others on the random paths.
    """
    let, other = arms["let"], arms[baseline]
    if baseline == "none":
        pair = let.without_identity[:, -1], other.without_identity[:, -1]
    else:
        pair = let.accuracies[:, -1], other.accuracies[:, -1]
    differences = {
        "mean": pair[0].mean(axis=1) - pair[1].mean(axis=1),
        "spread": pair[0].std(axis=1) - pair[1].std(axis=1),
    }
    if baseline == "plain":
        for name, skipping in (("mean_of_paths_with_identity", True), ("mean_of_paths_without_identity", False)):
            differences[name] = let.last_mean(skipping=skipping) - other.last_mean(skipping=skipping)
    return {name: t_interval(values) for name, values in differences.items()}


class PathProbe:
    """A callback `after_step` of `train_supernet` that measures paths every few steps, one JSON line per measurement.

    BN uses the statistics of the measured images on each path, as in training.

    Args:
        path: the file, whose first line says what is measured. A step that is measured again after a resume replaces
            the earlier measurement.
        genomes: (n, num_layers) ints.
        images: (N, H, W, 3) float32.
        labels: (N,) ints.
        every: steps between measurements.

    Raises:
        ValueError: if the file holds measurements of something else, or is damaged.
    """

    def __init__(
        self, path: str | Path, *, genomes: np.ndarray, images: np.ndarray, labels: np.ndarray, every: int
    ) -> None:
        if every < 1:
            raise ValueError(f"steps between measurements must be >= 1, got {every}")
        self.path = Path(path)
        self.genomes = genomes
        self.images = images
        self.labels = labels
        self.every = every
        self._subject = {
            "paths": f"{len(genomes)} ({_digest(genomes)})",
            "images": f"{len(images)} ({_digest(images, labels)})",
            "interval": f"{every} steps",
        }
        if self.path.exists():
            self._check_same(_read(self.path)[0])

    def __call__(self, step: int, supernet: Supernet) -> None:
        if step % self.every:
            return
        evaluator = PathEvaluator(supernet, bn="recalibrated", calibration=self.images)
        accuracies = evaluator.accuracies(self.genomes, self.images, self.labels)
        measured = _read(self.path)[1] if self.path.exists() else []
        kept = [record for record in measured if record["step"] < step]
        lines = [self._subject, *kept, {"step": step, "accuracies": accuracies.tolist()}]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def _check_same(self, subject: dict) -> None:
        for what, own in self._subject.items():
            if subject[what] != own:
                raise ValueError(
                    f"{self.path} was measured with other {what}: {subject[what]}, now {own}; "
                    "use the same settings, or another run directory"
                )


def read_probe(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read what a probe wrote: steps (T,) int64 and accuracies (T, n) float64."""
    _, records = _read(Path(path))
    return np.array([r["step"] for r in records]), np.array([r["accuracies"] for r in records], np.float64)


def _read(path: Path) -> tuple[dict, list[dict]]:
    """Return the first line, and the others."""
    try:
        subject, *records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not subject.keys() >= {"paths", "images", "interval"} or any("accuracies" not in r for r in records):
            raise ValueError
    except (ValueError, AttributeError, TypeError):
        raise ValueError(
            f"{path} is not a record of measured paths, with a first line on what was measured: "
            "use another run directory"
        ) from None
    return subject, records


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
