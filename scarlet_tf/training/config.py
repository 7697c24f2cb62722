"""Recipes for training a stand-alone network (paper: "Training Strategy")."""

from __future__ import annotations

import dataclasses
import math
import re

from scarlet_tf.choices import check_known
from scarlet_tf.data.data_config import AUGMENTATIONS

OPTIMIZERS = ("rmsprop", "sgd", "adam")
SCHEDULES = ("exponential", "cosine")
KEPT = ("last", "best")
CLASS_WEIGHTS = ("none", "balanced")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
MEASURED_IMAGES = 2048  # for batch normalisation statistics


class TrainConfigError(ValueError):
    """Error for an invalid training setting; the message names the value and what was expected."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All settings that determine the result of a training run, apart from the network and the images.

    Attributes:
        recipe: name of the recipe that the settings come from.
        epochs: may be fractional; an epoch is a whole number of training batches.
        frozen_epochs: number of first epochs in which only the classifier learns; everything else, including batch
            normalisation statistics, stays fixed.
        batch_size: global, over all replicas.
        optimizer: "rmsprop" (rho, momentum, epsilon inside the root), "sgd" (Nesterov momentum) or "adam"
            (beta_1 = momentum, epsilon outside the root).
        learning_rate: peak at a batch of `reference_batch`; scaled linearly with batch_size.
        schedule: after `warmup_epochs` of linear warm-up, "exponential": multiplied by decay_rate every decay_epochs,
            in discrete steps; "cosine": decays to 0 at the end.
        dropout: rate before the classifier; None: the spec's.
        l2: factor of tf.nn.l2_loss (half the sum of squares) of all variables except batch normalisation's.
        ema: share of the old average of the weights that a step keeps; 0: no averaging. Starts lower:
            min(ema, (1 + step) / (10 + step)).
        augment: augmentation of the images, see DataConfig.
        measured_images: number of training images on which batch normalisation statistics are measured at the end. 0:
            the moving statistics are kept, unless `too_few_for_moving_statistics`. None: as 0, or MEASURED_IMAGES if
            weights are averaged, because moving statistics are those of the weights before averaging
            (Izmailov et al. 2018, stochastic weight averaging).
        seed: of the initial weights, the order of images, augmentation and dropout.
        keep: "last": weights of the last step; "best": weights with the highest accuracy on the validation images, or
            balanced accuracy if classes are weighted.
        patience: number of epochs without better weights after which the run stops early; 0: never.
        class_weight: class weights in the loss. "none"; "balanced": n / (k n_c) for a class with n_c of the n images in
            k classes.
        zero_gamma: whether the last batch normalisation of each block with a shortcut starts with a scale of 0 instead
            of 1, so that the block starts as the identity (Goyal et al. 2017). Only for training from scratch.
        precision: dtype of feature maps and products. "float32"; "mixed_bfloat16" or "mixed_float16": weights,
            statistics, gradients, the classifier's logits and the loss stay float32. With float16 the loss is scaled,
            and a step whose gradients overflow is skipped, see `LossScale`.
        accumulate: number of parts in which a replica's share of a batch goes through the network, one after the other;
            their gradients are added. The update is that of the whole batch, but each part is normalised by its own
            batch statistics, and moves the moving statistics.
        clip_norm: largest norm of the gradient of all variables together, over the global batch; a longer one is
            scaled down to it. 0: no limit.

    Raises:
        TrainConfigError: for an invalid value.
    """

    recipe: str
    epochs: float
    batch_size: int
    optimizer: str
    learning_rate: float
    reference_batch: int
    schedule: str
    augment: str
    frozen_epochs: float = 0.0
    momentum: float = 0.9
    rho: float = 0.9
    epsilon: float = 1e-3
    warmup_epochs: float = 0.0
    decay_epochs: float = 2.4
    decay_rate: float = 0.97
    dropout: float | None = None
    l2: float = 1e-5
    label_smoothing: float = 0.1
    ema: float = 0.9999
    measured_images: int | None = None
    seed: int = 0
    keep: str = "last"
    patience: int = 0
    class_weight: str = "none"
    zero_gamma: bool = False
    precision: str = "float32"
    accumulate: int = 1
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        check_known("optimizer", self.optimizer, OPTIMIZERS, error=TrainConfigError)
        check_known("schedule", self.schedule, SCHEDULES, error=TrainConfigError)
        check_known("augment", self.augment, AUGMENTATIONS, error=TrainConfigError)
        check_known("precision", self.precision, PRECISIONS, error=TrainConfigError)
        for name in ("batch_size", "reference_batch", "accumulate"):
            self._check_field(
                name, isinstance(getattr(self, name), int) and getattr(self, name) >= 1, "an integer >= 1"
            )
        self._check_field("seed", isinstance(self.seed, int) and 0 <= self.seed < 2**31, "an integer in 0..2**31-1")
        for name in ("epochs", "learning_rate", "decay_epochs", "decay_rate", "epsilon"):
            self._check_field(name, _is_number(getattr(self, name)) and getattr(self, name) > 0, "a number > 0")
        for name in ("momentum", "rho", "label_smoothing", "ema"):
            self._check_field(name, _is_number(getattr(self, name)) and 0 <= getattr(self, name) < 1, "in [0, 1)")
        for name in ("warmup_epochs", "frozen_epochs", "l2"):
            self._check_field(name, _is_number(getattr(self, name)) and getattr(self, name) >= 0, "a number >= 0")
        self._check_field("frozen_epochs", self.frozen_epochs <= self.epochs, f"at most the {self.epochs} epochs")
        measured = self.measured_images
        is_number = type(measured) is int and measured >= 0
        self._check_field("measured_images", measured is None or is_number, "an integer >= 0, or None")
        check_known("keep", self.keep, KEPT, error=TrainConfigError)
        check_known("class_weight", self.class_weight, CLASS_WEIGHTS, error=TrainConfigError)
        patience = self.patience
        self._check_field("patience", type(patience) is int and patience >= 0, "an integer >= 0")
        self._check_field("zero_gamma", isinstance(self.zero_gamma, bool), "True or False")
        self._check_field("clip_norm", _is_number(self.clip_norm) and self.clip_norm >= 0, "a number >= 0")
        self._check_field("dropout", self.dropout is None or 0 <= self.dropout < 1, "in [0, 1), or None")

    def _check_field(self, name: str, ok: bool, expected: str) -> None:
        if not ok:
            raise TrainConfigError(f"{name} must be {expected}, got {getattr(self, name)!r}")

    def to_dict(self) -> dict:
        """Return the settings as JSON values; recently added ones are omitted at their defaults.

        So the records of runs from before these settings existed still match.
        """
        unused = {"keep": "last", "patience": 0, "class_weight": "none", "zero_gamma": False}
        unused |= {"precision": "float32", "accumulate": 1, "clip_norm": 0.0}
        settings = dataclasses.asdict(self)
        return {name: value for name, value in settings.items() if name not in unused or value != unused[name]}

    def check_validation(self, *, validated: bool) -> None:
        """Raise TrainConfigError if a setting needs validation images and there are none."""
        for name in ("keep", "patience"):
            value = getattr(self, name)
            if value not in ("last", 0) and not validated:
                raise TrainConfigError(
                    f"{name}={value} needs validation images: add --validation=0.1 or the name of a split"
                )

    @property
    def peak_learning_rate(self) -> float:
        """The peak learning rate at this batch size."""
        return self.learning_rate * self.batch_size / self.reference_batch


def too_few_for_moving_statistics(steps: int, *, momentum: float) -> bool:
    """Return whether so few steps leave batch normalisation's moving statistics inaccurate.

    A moving average of momentum m looks back over 1 / (1 - m) steps. After ten times as many, e^-10 = 5e-5 of the
    initial values remain in it, and it covers the last tenth of the run. Averaged weights need no more steps: their
    decay starts low (`ema_decay`), so they look back over at most a ninth of the run.

    Measured with recipe "small" on Fashion-MNIST, one run each, top-1 on 3,000 test images with moving and with
    measured statistics: 30 steps 0.455 and 0.728, 60 steps 0.794 and 0.798, 100 steps 0.829 and 0.831.
    """
    return steps * (1.0 - momentum) < 10.0 - 1e-9


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check_name(name: str) -> None:
    """Raise TrainConfigError unless files and TensorFlow graphs can have this name."""
    if not _NAME.fullmatch(name):
        raise TrainConfigError(
            f"name must start with a letter or digit and consist of letters, digits, '_', '-' and '.', got {name!r}"
        )


FEW_STEPS = 10  # per epoch; with fewer, schedules and averages have little effect
SMALLEST_BATCH = 8  # to suggest; batch normalisation learns from a batch's statistics


def suggest_batch_size(images: int, batch_size: int) -> int | None:
    """Return a smaller batch size that makes more steps an epoch, or None if there are FEW_STEPS already.

    An epoch is a whole number of batches: a batch of more than half the images makes a single step, and leaves out the
    rest. SMALLEST_BATCH is the lower limit.
    """
    better = batch_size
    while images // better < FEW_STEPS and better > SMALLEST_BATCH:
        better = max(SMALLEST_BATCH, better // 2)
    return better if images // better > images // batch_size else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# Paper: "Training Strategy". MnasNet decays by 0.97; the paper's "decays 0.01" can also be read as decay_rate=0.99.
PAPER = TrainConfig(
    recipe="paper",
    epochs=350,
    batch_size=4096,
    optimizer="rmsprop",
    learning_rate=0.256,
    reference_batch=4096,
    schedule="exponential",
    warmup_epochs=5,
    augment="inception",
)

# For networks of the space "small" on Fashion-MNIST at 32x32: a minute or two on two cores. Runs this short gain
# nothing from augmentation or dropout.
SMALL = TrainConfig(
    recipe="small",
    epochs=2,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    reference_batch=128,
    schedule="cosine",
    warmup_epochs=0.25,
    augment="none",
    l2=1e-4,
    label_smoothing=0.05,
    dropout=0.0,
    ema=0.99,
)

# Fine-tuning of trained weights on another dataset: first the classifier alone, then the whole network.
FINETUNE = TrainConfig(
    recipe="finetune",
    epochs=10,
    frozen_epochs=3,
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
    reference_batch=32,
    schedule="cosine",
    warmup_epochs=0.5,
    augment="flip_crop",
    epsilon=1e-7,
    l2=1e-5,
    label_smoothing=0.0,
    ema=0.0,
    measured_images=MEASURED_IMAGES,
)

_RECIPES = {config.recipe: config for config in (PAPER, SMALL, FINETUNE)}


_OWNERS = {  # settings that only some optimizers or schedules read
    "rho": ("optimizer", ("rmsprop",)),
    "epsilon": ("optimizer", ("rmsprop", "adam")),
    "decay_epochs": ("schedule", ("exponential",)),
    "decay_rate": ("schedule", ("exponential",)),
}


def list_recipes() -> list[str]:
    return sorted(_RECIPES)


def train_config(recipe: str, **overrides) -> TrainConfig:
    """Return a recipe with some fields overridden.

    Args:
        recipe: one of `list_recipes()`.
        **overrides: fields of `TrainConfig`.

    Raises:
        TrainConfigError: for an unknown recipe or field, with the nearest one, for an invalid value, and for a field
            that the optimizer or the schedule does not read.

    Example:
        >>> train_config("finetune", batch_size=64).peak_learning_rate
        0.002
    """
    check_known("recipe", recipe, tuple(_RECIPES), error=TrainConfigError)
    fields = tuple(field.name for field in dataclasses.fields(TrainConfig))
    for name in overrides:
        check_known("training setting", name, fields, error=TrainConfigError)
    try:
        config = dataclasses.replace(_RECIPES[recipe], **overrides)
    except TrainConfigError as error:
        name = str(error).split()[0]
        if name in overrides or name not in fields:
            raise
        raise TrainConfigError(f"{error} of the recipe {recipe!r}: set {name} too") from error
    for name in (name for name in overrides if name in _OWNERS):
        kind, owners = _OWNERS[name]
        if getattr(config, kind) not in owners:
            owner = " or ".join(map(repr, owners))
            raise TrainConfigError(
                f"{name} belongs to the {kind} {owner}, got {overrides[name]!r} with {getattr(config, kind)!r}"
            )
    return config
