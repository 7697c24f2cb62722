"""How long the stages of the paper's method take on a device: supernet, search and stand-alone training.

Does not import TensorFlow. Times are the larger of two: operations at a share of the device's peak, and bytes of
feature maps at its bandwidth.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.arch.counting import count_genomes
from scarlet_tf.choices import check_integer, check_known
from scarlet_tf.supernet.scale import FairStep

SECONDS_A_DAY = 86_400
PAPER_DAYS = {"supernet": 10, "search": 2}  # Tesla V100: 12 in all, of which the supernet takes 10


class Device(NamedTuple):
    """A device.

    Attributes:
        name: of the device.
        peaks: operations a second by precision: of dense products, two operations a multiply-add.
        bandwidth: bytes a second of its memory.
        memory: bytes.
        source: where the figures are from.
    """

    name: str
    peaks: Mapping[str, float]
    bandwidth: float
    memory: float
    source: str


def _peaks(float32: float, mixed_bfloat16: float | None, mixed_float16: float | None) -> dict[str, float]:
    peaks = {"float32": float32, "mixed_bfloat16": mixed_bfloat16, "mixed_float16": mixed_float16}
    return {precision: 1e12 * peak for precision, peak in peaks.items() if peak}


# float32 on NVIDIA's devices: without TF32, which TensorFlow uses for convolutions and products from the A100 on.
_DEVICES = (
    Device("v100", _peaks(15.7, None, 125), 900e9, 32e9, "NVIDIA, V100 data sheet: SXM2, 32 GB"),
    Device("a100", _peaks(19.5, 312, 312), 2039e9, 80e9, "NVIDIA, A100 data sheet: SXM, 80 GB"),
    Device("h100", _peaks(67, 989, 989), 3350e9, 80e9, "NVIDIA, H100 data sheet: SXM, dense"),
    Device("tpu_v4", _peaks(275, 275, None), 1200e9, 32 * 2**30, "Google, Cloud TPU v4, a chip; float32 as bfloat16"),
)


def _cpu() -> Device:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    source = "python -m benchmarks.fair_step --rates, on a core of a server CPU with AVX-512"
    return Device("cpu", _peaks(0.065, None, None), 8e9, memory, source)


def get_device(name: str, *, memory_gb: float | None = None) -> Device:
    """Return a device by name: v100, a100, h100, tpu_v4, or cpu, a core of a server with this machine's memory.

    Args:
        memory_gb: its memory in 10^9 bytes. Default: the usual.

    Raises:
        ValueError: for an unknown name, naming the nearest, or a memory that is not above 0.
    """
    devices = {device.name: device for device in _DEVICES}
    check_known("device", name, (*devices, "cpu"))
    device = _cpu() if name == "cpu" else devices[name]
    if memory_gb is None:
        return device
    if not 0 < memory_gb < math.inf:
        raise ValueError(f"memory must be a number of GB above 0, got {memory_gb!r}")
    return device._replace(memory=1e9 * memory_gb)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """Sizes of the paper's method on ImageNet; the defaults are the paper's.

    Attributes:
        images: number of training images.
        search_validation: number of them that are held out from the supernet's training, for the search.
        epochs: epochs of the supernet.
        models: number of models that the search evaluates.
        sharing: share of the search's operations that are left when common prefixes of paths are computed once.
        train_epochs: epochs of a stand-alone training.

    Raises:
        ValueError: for a number below 1, or as many images held out as there are.
    """

    images: int = 1_281_167
    search_validation: int = 50_000
    epochs: int = 60
    models: int = 8_400
    sharing: float = 1.0
    train_epochs: int = 350

    def __post_init__(self) -> None:
        for field in ("images", "search_validation", "epochs", "models", "train_epochs"):
            check_integer(field, getattr(self, field), least=1)
        if self.search_validation >= self.images:
            raise ValueError(
                f"search_validation must be fewer than the {self.images} images, got {self.search_validation}"
            )
        if not 0 < self.sharing <= 1:
            raise ValueError(f"sharing must be a share in (0, 1], got {self.sharing!r}")


def step_seconds(step: FairStep, device: Device, *, utilisation: float) -> tuple[float, float]:
    """Return the seconds of a fair step by its operations and by its bytes; it takes the larger of the two.

    Args:
        utilisation: share of the device's peak that convolutions reach, in (0, 1].
    """
    return step.flops / (utilisation * device.peaks[step.precision]), step.moved_bytes / device.bandwidth


def stage_flops(step: FairStep, method: Method) -> dict[str, float]:
    """Return the operations of the stages: "supernet", "search" and "training", of one network.

    The search runs every model's forward pass on the held-out images. A training takes three times the forward pass of
    each image. Both use the mean multiply-adds of networks drawn uniformly from the space.
    """
    madds = mean_madds(step.space)
    images = (method.images - method.search_validation) * method.epochs
    return {
        "supernet": step.flops / step.batch_size * images,
        "search": 2 * madds * method.models * method.search_validation * method.sharing,
        "training": 6 * madds * method.images * method.train_epochs,
    }


def mean_madds(space: SearchSpace, *, draws: int = 1000) -> float:
    """Return the mean multiply-adds of networks drawn uniformly from the space, always the same ones."""
    madds, _ = count_genomes(space, space.random(np.random.default_rng(0), draws))
    return float(madds.mean())
