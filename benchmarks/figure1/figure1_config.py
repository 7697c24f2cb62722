"""Config of Figure 1. Imports no TensorFlow, so that the tool can check it first."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.stand_in_spaces import stand_in
from scarlet_tf.arch import SearchSpace
from scarlet_tf.choices import check_known
from scarlet_tf.data import DataConfig

# name: (identity of the space, initialisation of LETs)
ARMS = {
    "let": ("let", "identity"),
    "let_normal": ("let", "normal"),
    "plain": ("identity", "identity"),
    "none": ("none", "identity"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure1Config:
    """Config of the experiment; the defaults are a third of the quickstart's supernet.

    Attributes:
        space: one of `stand_in_spaces.SPACES`.
        arms: names in ARMS, including "let", which the others are compared with.
        seeds: runs per arm, with seeds from `first_seed` on.
        paths: number of random paths measured per arm, plus as many without an identity; the same for every seed.
        images: maximum number of training images to measure on.
        measurements: per run, evenly spaced; the last one follows the last step.

    Raises:
        ValueError: for an unknown name, or a setting out of range.
    """

    data: DataConfig
    space: str = "small"
    arms: tuple[str, ...] = ("let", "plain", "none")
    seeds: int = 3
    first_seed: int = 0
    steps: int = 400
    batch_size: int = 32
    learning_rate: float = 0.2
    paths: int = 39
    images: int = 512
    measurements: int = 5

    def __post_init__(self) -> None:
        stand_in(self.space)
        for arm in self.arms:
            check_known("arm", arm, tuple(ARMS))
        if "let" not in self.arms or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms must be distinct and include 'let', got {','.join(self.arms)}")
        for field in ("seeds", "steps", "paths", "images", "measurements"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be >= 1, got {getattr(self, field)}")
        if self.steps % self.measurements:
            nearest = max(1, round(self.steps / self.measurements)) * self.measurements
            raise ValueError(
                f"{self.measurements} measurements do not divide {self.steps} steps: the nearest number is {nearest}"
            )

    @property
    def warmup_steps(self) -> int:
        """An eighth of the steps."""
        return self.steps // 8

    @property
    def every(self) -> int:
        """Steps between measurements."""
        return self.steps // self.measurements

    def genomes(self, arm: str) -> np.ndarray:
        """Return random paths of an arm, (paths, num_layers); the same for all arms that have an identity."""
        return self.arm_space(arm).random(np.random.default_rng(0), self.paths)

    def genomes_without_identity(self) -> np.ndarray:
        """Return the random paths that all arms have, (paths, num_layers): those of arm "none"."""
        return self.genomes("none")

    def measured(self, arm: str) -> np.ndarray:
        """Return the paths that an arm measures: its `genomes`, then `genomes_without_identity` if these differ.

        Returns:
            (paths or 2 * paths, num_layers).
        """
        if set(self.arm_space(arm).identities) == {None}:
            return self.genomes(arm)
        return np.concatenate([self.genomes(arm), self.genomes_without_identity()])

    def arm_space(self, arm: str, *, classes: int = 10) -> SearchSpace:
        return stand_in(self.space, classes=classes).with_identity(ARMS[arm][0])
