"""Configs of the experiment: what its JSON files hold. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator, Mapping

from benchmarks.garment_pairs.drawing import SIDE, VERSION
from benchmarks.garment_pairs.pairs_space import pairs_space
from benchmarks.rank.random_models import DRAWS
from benchmarks.rows import reading_config
from benchmarks.stand_in_spaces import check_blocks
from scarlet_tf.arch import SearchSpace
from scarlet_tf.choices import check_integer, check_known
from scarlet_tf.data import DataConfig
from scarlet_tf.supernet.supernet_config import InitConfig, SupernetConfig
from scarlet_tf.training.config import TrainConfig, train_config

BASE = "base"  # label of the supernet that the others are compared with
RECIPE = "small"  # of all trainings of models on their own
IDENTITIES = {"let": "let", "plain": "identity"}  # those of `SearchSpace.with_identity`


@dataclasses.dataclass(frozen=True, kw_only=True)
class SupernetSettings:
    """Settings of a supernet.

    Attributes:
        steps: fair steps, an eighth of them warm-up.
        batch_size: images of a step.
        learning_rate: peak learning rate.
        identity: "let" or "plain".
        let_init, residual_gamma: see `InitConfig`.
        seed: of weights, paths and batches.

    Raises:
        ValueError: for a setting out of range.
    """

    steps: int = 1500
    batch_size: int = 128
    learning_rate: float = 0.2
    identity: str = "let"
    let_init: str = "identity"
    residual_gamma: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"steps": 2, "batch_size": 1, "seed": 0}.items():
            check_integer(name, getattr(self, name), least=least)
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be > 0, got {self.learning_rate!r}")
        check_known("identity", self.identity, tuple(IDENTITIES))
        InitConfig(let=self.let_init, residual_gamma=self.residual_gamma)

    def config(self, space: SearchSpace, data: DataConfig) -> SupernetConfig:
        """Return the config of the supernet, for a space whose identities are LETs."""
        return SupernetConfig(
            space=space.with_identity(IDENTITIES[self.identity]),
            data=data,
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup_steps=self.steps // 8,
            init=InitConfig(let=self.let_init, residual_gamma=self.residual_gamma),
            seed=self.seed,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SupernetRow:
    """The training of one supernet; `name` is "supernet/LABEL"."""

    label: str

    @property
    def name(self) -> str:
        return f"supernet/{self.label}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """What rankings are compared with: the accuracies of a draw's models, each trained on its own for some epochs.

    Attributes:
        draw: how the models are drawn.
        epochs: of each training.
        measured: whether batch normalisation statistics are measured after training, or moving averages.
    """

    draw: str
    epochs: float
    measured: bool = False

    @property
    def rows(self) -> str:
        """What the names of its rows begin with: "alone/DRAW/EPOCHS_epochs"."""
        return f"alone/{self.draw}/{self.epochs:g}_epochs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AloneRow:
    """Every model of a draw, trained once with the same seed; `name` is "alone/DRAW/EPOCHS_epochs/SEED"."""

    draw: str
    training: TrainConfig

    @property
    def name(self) -> str:
        return f"{Reference(draw=self.draw, epochs=self.training.epochs).rows}/{self.training.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankConfig:
    """The content of a config file.

    Attributes:
        supernets: by label, "base" among them.
        trainings: how models are drawn, see `draw_genomes`, and for how many epochs those of a draw are trained on
            their own; more than one number: that many references.
        models: number of models of each draw.
        repeats: trainings of each model of a reference.
        blocks: choices of a layer besides the identity, 12 or 4.
        held_out: training images that nothing is trained on, for one-shot accuracy.
        seed: of the draws, and of the first training on its own.

    Raises:
        ValueError: for a setting out of range, an unknown draw, or if there is nothing to compare.
    """

    supernets: Mapping[str, SupernetSettings]
    trainings: Mapping[str, tuple[float, ...]]
    models: int = 24
    repeats: int = 2
    blocks: int = 4
    held_out: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        if BASE not in self.supernets:
            raise ValueError(f"supernets must have {BASE!r}, got {', '.join(self.supernets) or 'none'}")
        for first, second in itertools.combinations(self.supernets, 2):
            if self.supernets[first] == self.supernets[second]:
                raise ValueError(f"supernets must differ, got the same settings for {first!r} and {second!r}")
        for draw, epochs in self.trainings.items():
            check_known("draw", draw, DRAWS)
            if not epochs or len(set(epochs)) < len(epochs):
                raise ValueError(f"trainings of draw {draw!r} must be different numbers of epochs, got {list(epochs)}")
        if not self.trainings:
            raise ValueError("a config needs trainings")
        for name, least in {"models": 2, "repeats": 2, "held_out": 1, "seed": 0}.items():
            check_integer(name, getattr(self, name), least=least)
        check_blocks(self.blocks)
        list(self.rows())

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return pairs_space(self.blocks)

    def rows(self) -> Iterator[SupernetRow | AloneRow]:
        """Return all rows: each supernet, then each training of the models of each reference."""
        yield from (SupernetRow(label=label) for label in self.supernets)
        for draw, each in self.trainings.items():
            for epochs, seed in itertools.product(each, range(self.seed, self.seed + self.repeats)):
                training = train_config(RECIPE, epochs=epochs, seed=seed, measured_images=0)
                yield AloneRow(draw=draw, training=training)

    def settings(self, row: SupernetRow | AloneRow) -> dict:
        """Return the settings that a row's result depends on, as JSON values."""
        settings = self.to_dict()
        shared = {name: settings[name] for name in ("blocks", "held_out", "models", "seed")}
        shared["garment_pairs"] = VERSION
        if isinstance(row, SupernetRow):
            return shared | {"draws": list(self.trainings)} | settings["supernets"][row.label]
        return shared | {"draw": row.draw, "training": row.training.to_dict()}

    def references(self) -> list[Reference]:
        """Return all references. Those that share their trainings are neighbours: moving statistics, then measured."""
        return [
            Reference(draw=draw, epochs=epochs, measured=measured)
            for draw, each in self.trainings.items()
            for epochs, measured in itertools.product(each, (False, True))
        ]

    def data(self, *, data_dir: str | None, augment: str = "none") -> DataConfig:
        """Return the settings of the images."""
        return DataConfig(
            name="garment_pairs", image_size=SIDE, search_validation=self.held_out, augment=augment, data_dir=data_dir
        )

    def to_dict(self) -> dict:
        """Return the settings as JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, fields: Mapping) -> RankConfig:
        """Return the config of `to_dict`'s values."""
        supernets = {label: SupernetSettings(**own) for label, own in fields["supernets"].items()}
        trainings = {draw: tuple(epochs) for draw, epochs in fields["trainings"].items()}
        return cls(**{**fields, "supernets": supernets, "trainings": trainings})

    @classmethod
    def read(cls, path: str | os.PathLike) -> RankConfig:
        """Read a config file; every supernet holds what differs from the base.

        Raises:
            ValueError: for a file that is not such a config, naming it.
        """
        with reading_config(path):
            with open(path, encoding="utf-8") as file:
                fields = json.load(file)
            supernets = fields["supernets"]
            base = supernets.get(BASE, {})
            return cls.from_dict({**fields, "supernets": {label: base | own for label, own in supernets.items()}})
