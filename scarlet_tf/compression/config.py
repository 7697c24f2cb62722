"""What compression does to a trained network, as data."""

from __future__ import annotations

import dataclasses

from scarlet_tf.choices import require_known
from scarlet_tf.training.config import TrainConfig, train_config

METHODS = ("qat", "prune", "cluster")

# Instead of the recipe's, for going on from trained weights: a part of its learning rate, falling to 0, and nothing
# that needs a long run. With the recipe "small" and augmentation "flip_crop" the network in zoo/weights, 90.38 % right
# on Fashion-MNIST, came to 90.6 % under QAT, 90.1 % with half its weights zero and 89.8 % with 16 values a kernel, one
# run each; these settings were chosen by such runs. Not tried on ImageNet.
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
    """A compression that cannot be done; the message names the value and what was expected."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressionConfig:
    """One method, its strength, and how the network is fine-tuned under it.

    Attributes:
        method: "qat": int8 weights and activations are emulated. "prune": the smallest weights of every kernel are
            set to 0. "cluster": the weights of a kernel share a few values.
        training: without dropout, weight averages, frozen epochs and measured statistics, which do not fit masks and
            shared values.
        sparsity: for "prune", share of zeros in every pruned kernel, in (0, 1).
        clusters: for "cluster", number of values in every clustered kernel, 2..256.
    """

    method: str
    training: TrainConfig
    sparsity: float | None = None
    clusters: int | None = None

    def __post_init__(self) -> None:
        require_known("compression method", self.method, METHODS, error=CompressionError)
        for name, owner in (("sparsity", "prune"), ("clusters", "cluster")):
            value = getattr(self, name)
            if (value is not None) != (self.method == owner):
                raise CompressionError(f"{name} belongs to method {owner!r}, got {value!r} with {self.method!r}")
        if self.sparsity is not None and not (isinstance(self.sparsity, float) and 0 < self.sparsity < 1):
            raise CompressionError(f"sparsity must be in (0, 1), got {self.sparsity!r}")
        if self.clusters is not None and not (isinstance(self.clusters, int) and 2 <= self.clusters <= 256):
            raise CompressionError(f"clusters must be an integer in 2..256, got {self.clusters!r}")
        if self.method == "prune" and (self.training.keep == "best" or self.training.patience):
            raise CompressionError("keep=best and patience do not go with prune: sparsity grows during the run")
        for name in ("dropout", "ema", "frozen_epochs", "measured_images"):
            if getattr(self.training, name) != 0:
                raise CompressionError(f"{name} must be 0 in compression, got {getattr(self.training, name)!r}")

    def to_dict(self) -> dict:
        """The settings as JSON values, see `TrainConfig.to_dict`."""
        return dataclasses.asdict(self) | {"training": self.training.to_dict()}


def compression_config(
    recipe: str, *, qat: bool = False, prune: float | None = None, cluster: int | None = None, **overrides
) -> CompressionConfig | None:
    """The config of what was asked for, None where nothing was.

    Args:
        recipe: of training; its batch, optimizer, augmentation, L2 and label smoothing stay, FINE_TUNING replaces the
            rest.
        qat, prune, cluster: one at most; prune is a sparsity, cluster a number of values.
        overrides: of single training settings.
    """
    asked = {"qat": qat or None, "prune": prune, "cluster": cluster}
    given = [method for method, value in asked.items() if value is not None]
    if len(given) > 1:
        raise CompressionError(f"one compression at a time, got {' and '.join(given)}")
    if not given:
        return None
    (method,) = given
    rate = train_config(recipe).learning_rate / LEARNING_RATE_DIVISOR[method]
    training = train_config(recipe, **(FINE_TUNING | {"learning_rate": rate} | overrides))
    return CompressionConfig(method=method, training=training, sparsity=prune, clusters=cluster)
