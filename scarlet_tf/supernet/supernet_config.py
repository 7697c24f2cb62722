"""Settings of a supernet and of its training. Does not import TensorFlow, so that tools can check flags quickly."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from pathlib import Path

from scarlet_tf.arch import SearchSpace
from scarlet_tf.choices import check_integer, check_known, check_seed
from scarlet_tf.data import DataConfig
from scarlet_tf.files import check_contains
from scarlet_tf.paths import as_path
from scarlet_tf.runs.checkpoints import CheckpointStore

AT_A_TIME = 2  # blocks of a layer that run at once: one block rarely keeps two threads busy
BN_MODES = ("moving", "recalibrated")
LET_INITS = ("normal", "identity")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SHARED_GRADIENTS = ("sum", "mean")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Initialisation of a supernet's weights.

    Attributes:
        let: of LETs. "normal": N(0, sqrt(2/out)), as for convolutions; "identity": ones on the diagonal, so that a LET
            initially returns its input.
        residual_gamma: gamma of the last BN in blocks with a shortcut; below 1, they start closer to identity.

    Raises:
        ValueError: if `let` is unknown or `residual_gamma` is negative.
    """

    let: str = "identity"
    residual_gamma: float = 1.0

    def __post_init__(self) -> None:
        check_known("LET initialisation", self.let, LET_INITS)
        if not self.residual_gamma >= 0:
            raise ValueError(f"residual_gamma must be >= 0, got {self.residual_gamma!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SupernetConfig:
    """Settings of supernet training; the defaults are FairNAS's (batch 256, SGD 0.9, cosine from 0.045).

    Attributes:
        space: the search space; its classes and resolution must be those of the data.
        data: the dataset.
        steps: number of fair steps; each trains every choice of every layer once on one batch.
        warmup_steps: steps in which the learning rate grows linearly from 0, before the cosine.
        shared_gradient: "sum" or "mean" of the paths' gradients for stem, tail and classifier.
        precision: see `fair_step.make_fair_step`.
        init: initialisation of the weights.
        seed: of weights, paths and batches.

    Raises:
        ValueError: for an invalid value.

    Example:
        >>> data = DataConfig(name="fashion_mnist", image_size=32)
        >>> config = SupernetConfig(space=get_space("small"), data=data, steps=1200, batch_size=32)
    """

    space: SearchSpace
    data: DataConfig
    steps: int
    batch_size: int = 256
    learning_rate: float = 0.045
    warmup_steps: int = 0
    momentum: float = 0.9
    weight_decay: float = 4e-5
    shared_gradient: str = "mean"
    precision: str = "float32"
    init: InitConfig = dataclasses.field(default_factory=InitConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        check_known("shared_gradient", self.shared_gradient, SHARED_GRADIENTS)
        check_known("precision", self.precision, PRECISIONS)
        if self.space.resolution != self.data.image_size:
            raise ValueError(
                f"the space and the data config must have the same image size, got {self.space.resolution} and "
                f"{self.data.image_size} px"
            )
        for field, least in (("steps", 1), ("batch_size", 1), ("warmup_steps", 0)):
            check_integer(field, getattr(self, field), least=least)
        check_seed("seed", self.seed)
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps must be fewer than the {self.steps} steps, got {self.warmup_steps}")
        for field in ("learning_rate", "momentum", "weight_decay"):
            value = getattr(self, field)
            if not 0 <= value < math.inf:
                raise ValueError(f"{field} must be a finite number >= 0, got {value!r}")

    def to_dict(self) -> dict:
        data = {"data_dir": None} | self.data.to_dict()  # the folder of the dataset does not change a run
        settings = dataclasses.asdict(self) | {"space": self.space.to_dict(), "data": data}
        return json.loads(json.dumps(settings))  # tuples become lists, as in the file

    @classmethod
    def from_dict(cls, settings: dict) -> SupernetConfig:
        parts = {
            "space": SearchSpace.from_dict(settings["space"]),
            "data": DataConfig(**settings["data"]),
            "init": InitConfig(**settings["init"]),
        }
        return cls(**dict(settings) | parts)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, then half a cosine to 0 at the last step."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def share_out_threads(threads: int) -> dict[str, int]:
    """Divide `threads` into TensorFlow's "inter" and "intra" op threads, to train a supernet on one device.

    A layer runs two of its blocks at a time (AT_A_TIME). One thread for each is faster than two threads for one block,
    because many operations are too small to be split: on two cores, a fair step takes 1.62 s instead of 2.68 s.
    """
    inter = min(AT_A_TIME, threads)
    return {"inter": inter, "intra": max(1, threads // inter)}


def read_supernet_space(directory: str | os.PathLike) -> SearchSpace:
    """Return the search space of a supernet, with the image size and the classes that it was trained for.

    Args:
        directory: run directory that train_supernet.py wrote.

    Raises:
        FileNotFoundError: if it holds no supernet.
        ValueError: if its config.json is damaged.
    """
    check_contains(directory, "config.json", what="supernet")
    path = as_path(directory) / "config.json"
    try:
        return SupernetConfig.from_dict(json.loads(path.read_text(encoding="utf-8"))).space
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def warn_if_unfinished(directory: str | os.PathLike) -> None:
    """Print a one-line warning to standard error if a supernet's newest checkpoint is not that of its last step.

    Prints nothing if the run directory is damaged; `load_supernet` reports that better.

    Args:
        directory: run directory of the supernet.
    """
    try:
        steps = int(json.loads((as_path(directory) / "config.json").read_text(encoding="utf-8"))["steps"])
        newest = CheckpointStore(directory, kind="supernet", fingerprint=None).paths()[-1]
    except (OSError, ValueError, LookupError, TypeError):
        return
    step = int(newest.stem.removeprefix("checkpoint-"))
    if step < steps:
        print(
            f"{Path(sys.argv[0]).name}: warning: the supernet in {directory} is unfinished: step {step} of {steps}",
            file=sys.stderr,
        )
