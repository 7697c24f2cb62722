"""ONNX files: the options of writing one, its record, and running it in ONNX Runtime. Imports no TensorFlow.

The packages onnx and onnxruntime are the extra `onnx`; they are imported when they are first needed.
"""

from __future__ import annotations

import collections
import importlib
import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np

from scarlet_tf.choices import require_known

LAYOUTS = ("nhwc", "nchw")
MIN_OPSET = 14  # HardSwish
DEFAULT_OPSET = 17  # known to every runtime since the summer of 2022
RECORD = "scarlet_tf"  # key of the record among the file's metadata_props


class OnnxFileError(ValueError):
    """Raised for a file that ONNX Runtime cannot open or run; the message names it."""


class MissingPackageError(ValueError):
    """Raised where an optional package is not installed; the message says how to install it."""


def require_onnx() -> None:
    """Raise MissingPackageError unless ONNX files can be written and run here. Imports nothing of what does it."""
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(f"ONNX needs the package {package!r}: pip install 'scarlet-tf[onnx]'")


def check_onnx_options(*, opset: int = DEFAULT_OPSET, layout: str = "nhwc", batch_size: int | None = None) -> None:
    """Raise ValueError for options that cannot be met, and where the packages are missing."""
    require_onnx()
    require_known("layout", layout, LAYOUTS)
    newest = _package("onnx").defs.onnx_opset_version()
    if not MIN_OPSET <= opset <= newest:
        nearest = MIN_OPSET if opset < MIN_OPSET else newest
        raise ValueError(f"opset must be from {MIN_OPSET} to {newest}, got {opset}: nearest is {nearest}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


def read_onnx_record(path: str | os.PathLike) -> dict | None:
    """Return the record of an ONNX file; None where it has none.

    Raises:
        FileNotFoundError: for a missing file.
        OnnxFileError: for one that ONNX Runtime cannot open, or a record that is no JSON object.
    """
    return OnnxModel(path).record


class OnnxModel:
    """An ONNX file of one image and one output, run by ONNX Runtime on the CPU.

    Attributes:
        layout: of its images: "nhwc" or "nchw", as its record says; "nhwc" without one.
        takes, gives: its input's and output's shape with None for open sizes, without the batch, images as (H, W, C).
        batch_size: that it is fixed to; None: any.
        record: what it says about itself; None where it has no record.

    Raises:
        FileNotFoundError: for a missing file.
        OnnxFileError: for one that ONNX Runtime cannot open, or with other ends.
    """

    def __init__(self, path: str | os.PathLike, *, threads: int = 1) -> None:
        require_onnx()
        self._path = Path(path)
        if not self._path.is_file():
            raise FileNotFoundError(f"no such file: {path}")
        self._session = _session(self._path, threads=threads)
        sources, results = self._session.get_inputs(), self._session.get_outputs()
        if len(sources) != 1 or len(results) != 1 or sources[0].type != "tensor(float)" or len(sources[0].shape) != 4:
            found = ", ".join(f"{end.type} {end.shape}" for end in sources)
            raise OnnxFileError(f"{path}: expected one float32 image and one output, it takes {found}")
        self._input = sources[0].name
        self.record = self._record()
        self.layout = (self.record or {}).get("layout", "nhwc")
        self.batch_size, *sizes = (size if isinstance(size, int) else None for size in sources[0].shape)
        self.takes = tuple(sizes if self.layout == "nhwc" else (*sizes[1:], sizes[0]))
        gives = [size if isinstance(size, int) else None for size in results[0].shape[1:]]
        self.gives = tuple((*gives[1:], gives[0]) if len(gives) == 3 and self.layout == "nchw" else gives)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Outputs of images (B, H, W, C), float32; a feature map comes as (B, h, w, c)."""
        if self.layout == "nchw":
            images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
        try:
            (outputs,) = self._session.run(None, {self._input: images})
        except Exception as error:  # ONNX Runtime's own classes, which derive from nothing narrower
            raise OnnxFileError(f"{self._path}: {error}") from error
        return np.moveaxis(outputs, 1, -1) if outputs.ndim == 4 and self.layout == "nchw" else outputs

    def operations(self) -> dict[str, int]:
        """Return the number of nodes by operator, most frequent first."""
        return node_counts(_package("onnx").load(self._path, load_external_data=False).graph)

    def _record(self) -> dict | None:
        text = self._session.get_modelmeta().custom_metadata_map.get(RECORD)
        if text is None:
            return None
        try:
            record = json.loads(text)
        except ValueError as error:
            raise OnnxFileError(f"{self._path}: its record is not JSON: {error}") from error
        if not isinstance(record, dict) or record.get("layout", "nhwc") not in LAYOUTS:
            raise OnnxFileError(f"{self._path}: its record is not one of this project")
        return record


def node_counts(graph) -> dict[str, int]:
    """Return the number of nodes by operator, most frequent first."""
    return dict(collections.Counter(node.op_type for node in graph.node).most_common())


def _package(name: str) -> ModuleType:
    require_onnx()
    return importlib.import_module(name)


def _session(path: Path, *, threads: int):
    runtime = _package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong comes as an exception
    try:
        return runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise OnnxFileError(f"{path}: not a model that ONNX Runtime can run: {error}") from error
