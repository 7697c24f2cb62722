"""Configs of the experiment: what its JSON files hold. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.garment_pairs.drawing import SIDE, VERSION
from benchmarks.garment_pairs.pairs_space import CLASSES
from benchmarks.rows import reading_config
from benchmarks.stand_in_spaces import check_blocks, with_blocks
from scarlet_tf.arch import SearchSpace, get_space
from scarlet_tf.choices import check_integer, check_known
from scarlet_tf.supernet.sampler import fair_paths
from scarlet_tf.supernet.supernet_config import SHARED_GRADIENTS

PARTS = ("stem", "tail", "classifier")  # of a supernet, whose weights all paths share
RANDOM_PATHS = 26
_SEED_OF_PATHS = 10**6

# name: (identity, whether only layers that keep the shape have it, initialisation of LETs)
ARMS = {
    "let": ("let", False, "identity"),
    "let_normal": ("let", False, "normal"),
    "let_same": ("let", True, "identity"),
    "plain": ("identity", False, "identity"),
    "plain_same": ("identity", True, "identity"),
    "none": ("none", False, "identity"),
}
LABELS = {
    "let": "LET, starts as identity",
    "let_normal": "LET, starts at random",
    "let_same": "LET, same shape only",
    "plain": "plain identity, all layers",
    "plain_same": "plain identity, same shape only",
    "none": "no identity",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """Training settings that all arms of a comparison share.

    Attributes:
        layers: 19, or 6: the first layer of every stage.
        blocks: choices of a layer besides the identity: 12, all of Table 1, or 4: e3 k3, e3 k5 se, e6 k5, e6 k7 se.
            With strict fairness a layer's choice is the identity in one of 13 paths, or in one of 5.
        width: multiplier of the layers' channels.
        steps: fair steps, an eighth of them warm-up.
        batch_size: images of a step.
        learning_rate: peak learning rate.
        shared_gradient: see `make_fair_step`.
        residual_gamma: see `InitConfig`.

    Raises:
        ValueError: for a setting out of range.
    """

    layers: int = 19
    blocks: int = 4
    width: float = 0.25
    steps: int = 1500
    batch_size: int = 128
    learning_rate: float = 0.2
    shared_gradient: str = "mean"
    residual_gamma: float = 1.0

    def __post_init__(self) -> None:
        if self.layers not in (6, 19):
            raise ValueError(f"layers must be 6 or 19, got {self.layers!r}")
        check_blocks(self.blocks)
        if not 0 < self.width <= 1 or not self.learning_rate > 0 or not self.residual_gamma >= 0:
            raise ValueError(
                "width must be in (0, 1], learning_rate > 0 and residual_gamma >= 0, "
                f"got {self.width}, {self.learning_rate} and {self.residual_gamma}"
            )
        check_integer("steps", self.steps, least=2)
        check_integer("batch_size", self.batch_size, least=1)
        check_known("shared_gradient", self.shared_gradient, SHARED_GRADIENTS)

    @property
    def identity(self) -> int:
        """The gene of an identity."""
        return self.blocks

    def space(self, arm: str) -> SearchSpace:
        """Return an arm's search space."""
        full = with_blocks(get_space("scarlet", classes=CLASSES), self.blocks)
        first = (0, 2, 6, 10, 14, 18) if self.layers == 6 else range(full.num_layers)
        outputs = [max(8, int(full.out_channels[layer] * self.width + 4) // 8 * 8) for layer in first]
        space = dataclasses.replace(
            full,
            name=f"garments{self.layers}",
            out_channels=tuple(outputs),
            strides=tuple(full.strides[layer] for layer in first),
            choices=tuple(full.layer_choices[layer] for layer in first),
            resolution=SIDE,
            stem_channels=16,
            first_channels=8,
            tail_channels=256,
        )
        identity, same_only, _ = ARMS[arm]
        replaced = space.with_identity(identity)
        if not same_only:
            return replaced
        without = space.with_identity("none")
        kept = keeps_shape(space)
        choices = [(replaced if same else without).layer_choices[layer] for layer, same in enumerate(kept)]
        return dataclasses.replace(space, choices=tuple(choices))


def keeps_shape(space: SearchSpace) -> np.ndarray:
    """Return, for each layer, whether input and output have the same shape: (num_layers,) bool."""
    return (np.array(space.strides) == 1) & ~changes_channels(space)


def changes_channels(space: SearchSpace) -> np.ndarray:
    """Return, for each layer, whether input and output have different numbers of channels: (num_layers,) bool."""
    return np.array((space.first_channels, *space.out_channels[:-1])) != np.array(space.out_channels)


def measured_paths(condition: Condition, arm: str) -> dict[str, np.ndarray]:
    """Return the genomes that an arm is measured on, (n, num_layers) each, by group; see plan.md.

    "fair" are the paths of fair draws of the arm's own space. Arm "none" has no "common".
    """
    space = condition.space(arm)
    draws = RANDOM_PATHS // max(space.num_choices)
    fair = [fair_paths(_SEED_OF_PATHS, step, num_choices=space.num_choices) for step in range(draws)]
    groups = {"fair": np.concatenate(fair)}
    for group, drawn_from in (("common", "plain_same"), ("without", "none")):
        if group == "without" or arm != "none":
            groups[group] = condition.space(drawn_from).random(np.random.default_rng(_SEED_OF_PATHS), RANDOM_PATHS)
    return groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One run: an arm in a condition with a seed; `name` is "CONDITION/ARM/SEED"."""

    label: str
    condition: Condition
    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.label}/{self.arm}/{self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepthConfig:
    """The content of a config file.

    Attributes:
        conditions: by label.
        arms: by label, names in ARMS.
        seeds: one run of every condition's arms for each.
        images: images to measure on, of the training set and of the held-out one.
        effects: labels of the conditions in which the effects of identities are measured too, see `measure_effects`.

    Raises:
        ValueError: for an unknown arm or label, or if a condition has no runs.
    """

    conditions: Mapping[str, Condition]
    arms: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    images: int = 512
    effects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for label in (*self.arms, *self.effects):
            check_known("condition", label, tuple(self.conditions))
        if not self.conditions or not all(self.arms.get(label) for label in self.conditions) or not self.seeds:
            raise ValueError("a config needs conditions, arms for each, and seeds")
        for arm in (arm for arms in self.arms.values() for arm in arms):
            check_known("arm", arm, tuple(ARMS))
        for seed in self.seeds:
            check_integer("seed", seed, least=0)
        check_integer("images", self.images, least=1)

    def rows(self) -> Iterator[Row]:
        """Return all runs, seed by seed."""
        for seed in self.seeds:
            for label, condition in self.conditions.items():
                for arm in self.arms[label]:
                    yield Row(label=label, condition=condition, arm=arm, seed=seed)

    def settings(self, row: Row) -> dict:
        """Return the settings that a row's result depends on, as JSON values."""
        return dataclasses.asdict(row.condition) | {
            "arm": row.arm,
            "seed": row.seed,
            "images": self.images,
            "effects": row.label in self.effects,
            "garment_pairs": VERSION,
        }

    @classmethod
    def read(cls, path: str | os.PathLike) -> DepthConfig:
        """Read a config file.

        Every condition holds what differs from "base". "arms" is a list for all conditions, or has one for each label.

        Raises:
            ValueError: for a file that is not such a config, naming it.
        """
        with reading_config(path):
            with open(path, encoding="utf-8") as file:
                fields = json.load(file)
            base = fields.pop("base", {})
            conditions = {label: Condition(**base | own) for label, own in fields.pop("conditions").items()}
            arms, seeds = fields.pop("arms"), tuple(fields.pop("seeds"))
            arms = arms if isinstance(arms, Mapping) else dict.fromkeys(conditions, arms)
            arms = {label: tuple(names) for label, names in arms.items()}
            effects = tuple(fields.pop("effects", ()))
            return cls(conditions=conditions, arms=arms, seeds=seeds, effects=effects, **fields)
