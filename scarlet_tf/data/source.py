"""What sources of encoded images have in common: statistics of known datasets, and the split for validation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scarlet_tf.choices import check_known
from scarlet_tf.data.data_config import DataConfig, DataError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STATISTICS = {
    "mnist": ((0.1307,) * 3, (0.3081,) * 3),
    "fashion_mnist": ((0.2860,) * 3, (0.3530,) * 3),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def statistics_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of a dataset's pixels in [0, 1]; ImageNet's if unknown.

    Args:
        name: a name of tensorflow-datasets, with or without version, or "folder:PATH".
    """
    return _STATISTICS.get(re.split("[:/]", name)[0], (IMAGENET_MEAN, IMAGENET_STD))


def split_for_validation(config: DataConfig, full: Sequence[str]) -> dict[str, str]:
    """Return the split that the config names for validation, or raise DataError if it is not among `full`."""
    if config.validation == "test":  # in use already, whatever the dataset calls it
        return {}
    if not full:
        raise DataError(f"no split for validation {config.validation!r}: {config.name!r} has only training images")
    check_known("split for validation", config.validation, full, error=DataError)
    return {config.validation: config.validation}
