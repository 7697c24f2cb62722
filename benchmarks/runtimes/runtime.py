"""What every runtime of the comparison offers: a file of its own for a network, and a function that runs it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmarks.network_files import hash_of

Run = Callable[[], np.ndarray]


class NotOfferedError(ValueError):
    """Error for a format that a runtime's Python package cannot make; the message is a line of the page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A network that a runtime is to run.

    Attributes:
        format: "float32" or "int8".
        threads: of the runtime.
        tflite: paths of the network's .tflite files of this format, by what they are optimized for.
        onnx: path of the float32 .onnx file, (1, 3, H, W) -> (1, classes).
        images: path of the calibration images, float32 (N, H, W, 3) in a .npy file.
        folder: where the runtime keeps its own files.
    """

    network: str
    format: str
    threads: int
    tflite: dict[str, str]
    onnx: str
    images: str
    folder: str

    def kept(self, runtime: Runtime, ending: str) -> Path:
        """Return the path of the runtime's own file; its name holds a hash of what the file depends on."""
        version = importlib.metadata.version(runtime.package)
        source = Path(inspect.getfile(type(runtime))).read_bytes()
        made_by = hash_of(f"{Path(self.onnx).stem} {version}".encode() + source)
        return Path(self.folder) / f"{self.network}_{self.format}_{runtime.package}_{made_by}{ending}"

    def calibration(self) -> np.ndarray:
        """Return the calibration images as (N, 3, H, W)."""
        return nchw(np.load(self.images))


class Runtime(ABC):
    """A way to run a network. `load` is called in a process that runs no other runtime.

    Attributes:
        package: name of the distribution on PyPI.
        settings: what differs from the package's defaults, for the page.
    """

    package: ClassVar[str]
    settings: str

    @abstractmethod
    def load(self, case: Case, image: np.ndarray) -> Run:
        """Convert the network if that was not done before, load it, and return a function that runs it on the image.

        The function returns the probabilities, (1, classes).

        Args:
            image: float32 (1, H, W, 3).

        Raises:
            NotOfferedError: if the package cannot make the format.
        """


def nchw(image: np.ndarray) -> np.ndarray:
    """Return images (B, H, W, C) as contiguous (B, C, H, W)."""
    return np.ascontiguousarray(np.moveaxis(image, -1, 1))
