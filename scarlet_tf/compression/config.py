"""Configuration of a compression: the method, its strength, and the fine-tuning."""

from __future__ import annotations

import dataclasses

from scarlet_tf.choices import check_known
from scarlet_tf.training.config import TrainConfig, train_config

METHODS = ("qat", "prune", "cluster")

# These replace the recipe's settings: trained weights need a fraction of its learning rate, decaying to 0, and nothing
# that takes a long run. With the recipe "small" and augmentation "flip_crop", the network in zoo/weights, with 90.38 %
# top-1 on Fashion-MNIST, reached 90.6 % under QAT, 90.1 % with half its weights zero, and 89.8 % with 16 values per
# kernel, one run each. Such runs decided these settings. Not tried on ImageNet.
FINE_TUNING = {
    "epochs": 2.0,
    "frozen_epochs": 0.0,
    "schedule": "cosine",
    "warmup_epochs": 0.0,
    "dropout": 0.0,
    "ema": 0.0,
    "measured_images": 0,
}
LEARNING_RATE_DIVISOR = {"qat": 10, "prune": 2, "cluster": 2}


class CompressionError(ValueError):
    """A compression that is not possible; the message names the value and what was expected."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressionConfig:
    """One compression method, its strength, and the settings of the fine-tuning.

    Attributes:
        method: "qat" emulates int8 weights and activations. "prune" sets the smallest weights of every kernel to 0.
            "cluster" makes the weights of a kernel share a few values.
        training: without dropout, weight averages, frozen epochs and measured statistics, which are incompatible with
            masks and shared values.
        sparsity: for "prune", fraction of zeros in every pruned kernel, in (0, 1).
        clusters: for "cluster", number of values in every clustered kernel, 2..256.

    Raises:
        CompressionError: for settings out of range, or that do not belong to the method.
    """

    method: str
    training: TrainConfig
    sparsity: float | None = None
    clusters: int | None = None

    def __post_init__(self) -> None:
        check_known("compression method", self.method, METHODS, error=CompressionError)
        for name, owner in (("sparsity", "prune"), ("clusters", "cluster")):
            value = getattr(self, name)
            if (value is not None) != (self.method == owner):
                raise CompressionError(f"{name} belongs to method {owner!r}, got {value!r} with {self.method!r}")
        if self.sparsity is not None and not (isinstance(self.sparsity, float) and 0 < self.sparsity < 1):
            raise CompressionError(f"sparsity must be in (0, 1), got {self.sparsity!r}")
        if self.clusters is not None and not (isinstance(self.clusters, int) and 2 <= self.clusters <= 256):
            raise CompressionError(f"clusters must be an integer in 2..256, got {self.clusters!r}")
        if self.method == "prune" and (self.training.keep == "best" or self.training.patience):
            raise CompressionError(
                "keep=best and patience cannot be combined with prune: sparsity grows during the run"
            )
        for name in ("dropout", "ema", "frozen_epochs", "measured_images", "zero_gamma"):
            if getattr(self.training, name) != 0:
                raise CompressionError(f"{name} must be 0 in compression, got {getattr(self.training, name)!r}")
        for name, plain in (("precision", "float32"), ("accumulate", 1), ("clip_norm", 0)):
            if getattr(self.training, name) != plain:
                raise CompressionError(f"{name} must be {plain} in compression, got {getattr(self.training, name)!r}")

    def to_dict(self) -> dict:
        """Return the settings as JSON values, see `TrainConfig.to_dict`."""
        return dataclasses.asdict(self) | {"training": self.training.to_dict()}


def compression_config(
    recipe: str, *, qat: bool = False, prune: float | None = None, cluster: int | None = None, **overrides
) -> CompressionConfig | None:
    """Return the config of the requested compression, None if none is requested.

    Args:
        recipe: name of a training recipe. Its batch size, optimizer, augmentation, L2 and label smoothing are kept;
            FINE_TUNING replaces the rest.
        qat, prune, cluster: one at most; prune is a sparsity, cluster a number of values.
        overrides: of single training settings.

    Raises:
        CompressionError: if several compressions are requested, or for settings that CompressionConfig refuses.

    Example:
        >>> compression_config("finetune", prune=0.5).method
        'prune'
    """
    asked = {"qat": qat or None, "prune": prune, "cluster": cluster}
    given = [method for method, value in asked.items() if value is not None]
    if len(given) > 1:
        raise CompressionError(f"expected one compression method, got {' and '.join(given)}")
    if not given:
        return None
    (method,) = given
    rate = train_config(recipe).learning_rate / LEARNING_RATE_DIVISOR[method]
    training = train_config(recipe, **(FINE_TUNING | {"learning_rate": rate} | overrides))
    return CompressionConfig(method=method, training=training, sparsity=prune, clusters=cluster)
