"""Figure 1: a supernet's paths while it is trained with LETs, with plain identities, and without a choice to skip.

The arms of a seed start from the same weights (LETs apart) and see the same batches; a plain identity is a LET that
stays as it starts, see `SearchSpace.identity`. The paper does not say how LETs start, so either way is an arm. Accuracy
is measured on training images, as in the paper.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from scarlet_tf.arch.space import IDENTITY, SearchSpace
from scarlet_tf.bootstrap import Estimate, bootstrap
from scarlet_tf.choices import require_known
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.reproduce.probe import PathProbe, read_probe
from scarlet_tf.reproduce.spaces import stand_in
from scarlet_tf.supernet import InitConfig, SupernetConfig, train_supernet
from scarlet_tf.training.strategy import make_strategy

# name: (identity of the space, how LETs start)
ARMS = {
    "let": ("let", "identity"),
    "let_normal": ("let", "normal"),
    "plain": ("plain", "identity"),
    "none": ("none", "identity"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure1Config:
    """The experiment; the defaults are a third of the quickstart's supernet.

    Attributes:
        space: one of `spaces.SPACES`.
        arms: of ARMS; "let", which the others are compared with, has to be one.
        seeds: runs an arm, with seeds from `first_seed` on.
        paths: random paths that are measured; the same in every run of an arm.
        images: training images that they are measured on.
        measurements: over a run, equally far apart; the last is after the last step.
    """

    data: DataConfig
    space: str = "small"
    arms: tuple[str, ...] = ("let", "plain", "none")
    seeds: int = 3
    first_seed: int = 0
    steps: int = 400
    batch_size: int = 32
    learning_rate: float = 0.2
    warmup_steps: int = 50
    paths: int = 39
    images: int = 512
    measurements: int = 5

    def __post_init__(self) -> None:
        stand_in(self.space)
        for arm in self.arms:
            require_known("arm", arm, tuple(ARMS))
        if "let" not in self.arms or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms must be different ones, 'let' among them, got {','.join(self.arms)}")
        for field in ("seeds", "steps", "paths", "images", "measurements"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be >= 1, got {getattr(self, field)}")
        if self.steps % self.measurements:
            raise ValueError(f"{self.measurements} measurements do not divide {self.steps} steps")

    def genomes(self, arm: str) -> np.ndarray:
        """The measured paths of an arm, (paths, num_layers)."""
        return self._space(arm).random(np.random.default_rng(0), self.paths)

    def supernet(self, arm: str, seed: int) -> SupernetConfig:
        return SupernetConfig(
            space=self._space(arm),
            init=InitConfig(let=ARMS[arm][1]),
            data=self.data,
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            seed=seed,
        )

    def _space(self, arm: str) -> SearchSpace:
        return dataclasses.replace(stand_in(self.space), identity=ARMS[arm][0])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """What was measured of one arm.

    Attributes:
        genomes: (n, num_layers).
        steps: (T,) finished steps at each measurement.
        accuracies: (seeds, T, n).
    """

    genomes: np.ndarray
    steps: np.ndarray
    accuracies: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Over the paths, (seeds, T)."""
        return self.accuracies.mean(axis=2)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over the paths, (seeds, T)."""
        return self.accuracies.std(axis=2)

    def last_mean(self, *, skipping: bool) -> np.ndarray:
        """Mean at the end over the paths that hold, or do not hold, an identity, (seeds,)."""
        chosen = (self.genomes == IDENTITY).any(axis=1) == skipping
        return self.accuracies[:, -1, chosen].mean(axis=1)


def run_figure1(config: Figure1Config, output: str | Path) -> dict[str, Arm]:
    """Trains the arms with all seeds, or goes on with that, in folders of `output`; what was measured, by arm.

    Raises:
        CheckpointError: a folder holds a run with other settings.
    """
    images, labels = open_dataset(config.data).arrays("train", limit=config.images)
    found: dict[str, list] = {arm: [] for arm in config.arms}
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        for arm in config.arms:
            folder = Path(output) / f"{arm}_seed{seed}"
            probe = PathProbe(
                folder / "paths.jsonl",
                genomes=config.genomes(arm),
                images=images,
                labels=labels,
                every=config.steps // config.measurements,
            )
            train_supernet(
                config.supernet(arm, seed),
                folder,
                strategy=make_strategy("one_device"),
                checkpoint_every=probe.every,
                after_step=probe,
            )
            found[arm].append(read_probe(probe.path))
    return {
        arm: Arm(
            genomes=config.genomes(arm),
            steps=runs[0][0],
            accuracies=np.stack([accuracies for _, accuracies in runs]),
        )
        for arm, runs in found.items()
    }


def compare(arms: dict[str, Arm], *, baseline: str) -> dict[str, Estimate]:
    """LET less the baseline at the last step: of the means, of the spreads, bootstrapped over seeds in pairs."""
    let, other = arms["let"], arms[baseline]
    differences = {
        "mean": let.mean[:, -1] - other.mean[:, -1],
        "spread": let.spread[:, -1] - other.spread[:, -1],
    }
    if baseline == "plain":
        for name, skipping in (("mean_of_paths_with_identity", True), ("mean_of_paths_without_identity", False)):
            differences[name] = let.last_mean(skipping=skipping) - other.last_mean(skipping=skipping)
    return {name: bootstrap(np.mean, values) for name, values in differences.items()}
