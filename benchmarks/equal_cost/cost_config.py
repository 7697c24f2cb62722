"""Configs of the experiment: what its JSON files hold. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator

import numpy as np

from benchmarks.garment_pairs.drawing import VERSION
from benchmarks.garment_pairs.pairs_space import pairs_space
from benchmarks.rows import reading_config
from scarlet_tf.arch import SearchSpace, count_genomes
from scarlet_tf.choices import check_integer, check_known
from scarlet_tf.supernet.supernet_config import InitConfig
from scarlet_tf.training.config import TrainConfig, train_config

SUPERNET = "supernet"  # the method whose cost is the budget of the others
METHODS = (SUPERNET, "random", "halving")
LABELS = {
    "supernet": "supernet and NSGA-II",
    "random": "random search",
    "halving": "successive halving",
}
RECIPE = "small"  # of all trainings of models on their own


@dataclasses.dataclass(frozen=True, kw_only=True)
class SupernetSettings:
    """Settings of the method "supernet".

    Attributes:
        steps: fair steps.
        batch_size: images of a step.
        learning_rate: peak learning rate; the first eighth of the steps is warm-up.
        residual_gamma: see `InitConfig`.
        population, generations: of the search, see `SearchConfig`; it evaluates population * (generations + 2) models.
        calibration_images: training images for recalibration.

    Raises:
        ValueError: for a setting out of range.
    """

    steps: int
    batch_size: int = 32
    learning_rate: float = 0.2
    residual_gamma: float = 1.0
    population: int = 20
    generations: int = 8
    calibration_images: int = 256

    def __post_init__(self) -> None:
        least = {"steps": 2, "batch_size": 1, "population": 2, "generations": 1, "calibration_images": 1}
        for name, value in least.items():
            check_integer(f"supernet: {name}", getattr(self, name), least=value)
        if not self.learning_rate > 0:
            raise ValueError(f"supernet: learning_rate must be > 0, got {self.learning_rate!r}")
        InitConfig(residual_gamma=self.residual_gamma)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HalvingSettings:
    """Settings of the method "halving".

    Attributes:
        epochs: of a training that passes all rungs.
        factor: a training goes on at a rung if it is among the best 1 in `factor` there; a rung has `factor` times the
            steps of the one before it.
        rungs: number of rungs, the last of which is the end of the training.

    Raises:
        ValueError: for a setting out of range.
    """

    epochs: float
    factor: int = 3
    rungs: int = 3

    def __post_init__(self) -> None:
        if not self.epochs > 0:
            raise ValueError(f"halving: epochs must be > 0, got {self.epochs!r}")
        check_integer("halving: factor", self.factor, least=2)
        check_integer("halving: rungs", self.rungs, least=2)

    def steps(self, steps_per_epoch: int) -> tuple[int, ...]:
        """Return the number of steps at each rung, the last one being the whole training."""
        first = max(1, round(self.epochs * steps_per_epoch / self.factor ** (self.rungs - 1)))
        return tuple(first * self.factor**rung for rung in range(self.rungs))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One search: a method with a seed; `name` is "METHOD/SEED"."""

    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}/{self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostConfig:
    """The content of a config file.

    Attributes:
        max_madds: the most multiply-adds of a model that may be picked.
        seeds: a search by every method for each.
        supernet: settings of the method "supernet".
        random_epochs: epochs of each training of the method "random".
        halving: settings of the method "halving".
        final_epochs: epochs of the training of each pick.
        zero_gamma: of all trainings of models on their own, see `TrainConfig`.
        held_out: training images held out for the search.
        blocks: choices of a layer besides the LET, 12 or 4.
        images: how many of the held-out images every method measures accuracy on.
        methods: names in METHODS, "supernet" among them.

    Raises:
        ValueError: for a setting out of range, an unknown method, or if there are no runs.
    """

    max_madds: int
    seeds: tuple[int, ...]
    supernet: SupernetSettings
    random_epochs: float
    halving: HalvingSettings
    final_epochs: float
    blocks: int = 12
    held_out: int = 5000
    images: int = 2000
    zero_gamma: bool = False
    methods: tuple[str, ...] = METHODS

    def __post_init__(self) -> None:
        for method in self.methods:
            check_known("method", method, METHODS)
        if SUPERNET not in self.methods:
            raise ValueError(f"methods must have {SUPERNET!r}, whose cost is the others' budget, got {self.methods}")
        if not self.seeds:
            raise ValueError("a config needs seeds")
        for seed in self.seeds:
            check_integer("seed", seed, least=0)
        for name in ("held_out", "images", "max_madds"):
            check_integer(name, getattr(self, name), least=1)
        if self.images > self.held_out:
            raise ValueError(f"images must be at most the {self.held_out} held-out images, got {self.images}")
        for name in ("random_epochs", "final_epochs"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}")
        self.training(epochs=self.final_epochs, seed=0)
        space = self.space
        madds, _ = count_genomes(space, space.random(np.random.default_rng(0), 1000))
        if not (madds <= self.max_madds).any():
            raise ValueError(
                f"max_madds must leave models to draw: the smallest of 1000 random ones has {madds.min()} "
                f"multiply-adds, got {self.max_madds}"
            )

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return pairs_space(self.blocks)

    def rows(self) -> Iterator[Row]:
        """Return all searches, seed by seed, "supernet" first."""
        for seed in self.seeds:
            for method in sorted(self.methods, key=METHODS.index):
                yield Row(method=method, seed=seed)

    def settings(self, row: Row) -> dict:
        """Return the settings that a row's result depends on, as JSON values."""
        shared = {name: value for name, value in self.to_dict().items() if name not in ("seeds", "methods")}
        recipe = self.training(epochs=self.final_epochs, seed=0).to_dict()
        shared["training"] = {name: value for name, value in recipe.items() if name not in ("epochs", "seed")}
        return shared | {"garment_pairs": VERSION} | dataclasses.asdict(row)

    def training(self, *, epochs: float, seed: int) -> TrainConfig:
        """Return the settings of a training of a model on its own."""
        return train_config(RECIPE, epochs=epochs, seed=seed, zero_gamma=self.zero_gamma, measured_images=0)

    def to_dict(self) -> dict:
        """Return the settings as JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, fields: dict) -> CostConfig:
        """Return the config of `to_dict`'s values."""
        parts = {"supernet": SupernetSettings(**fields["supernet"]), "halving": HalvingSettings(**fields["halving"])}
        lists = {name: tuple(fields[name]) for name in ("seeds", "methods") if name in fields}
        return cls(**fields | parts | lists)

    @classmethod
    def read(cls, path: str | os.PathLike) -> CostConfig:
        """Read a config file.

        Raises:
            ValueError: for a file that is not such a config, naming it.
        """
        with reading_config(path), open(path, encoding="utf-8") as file:
            return cls.from_dict(json.load(file))
