"""ONNX files: export options, the record in a file, and inference in ONNX Runtime. Does not import TensorFlow.

The packages onnx and onnxruntime belong to the extra `onnx`; they are imported when they are first needed.
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

from scarlet_tf.choices import check_known
from scarlet_tf.paths import no_such

LAYOUTS = ("nhwc", "nchw")
MIN_OPSET = 14  # the first with HardSwish
DEFAULT_OPSET = 17  # supported by every runtime since the summer of 2022
RECORD = "scarlet_tf"  # key of the record in the file's metadata_props


class OnnxFileError(ValueError):
    """Error for a file that ONNX Runtime cannot open or run; the message names it."""


class MissingPackageError(ValueError):
    """Error for an optional package that is not installed; the message says how to install it."""


def check_onnx() -> None:
    """Raise MissingPackageError unless onnx and onnxruntime are installed, without importing them."""
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(f"ONNX needs the package {package!r}: pip install 'scarlet-tf[onnx]'")


def check_onnx_options(*, opset: int = DEFAULT_OPSET, layout: str = "nhwc", batch_size: int | None = None) -> None:
    """Raise ValueError for invalid options or missing packages.

    Args:
        opset: from MIN_OPSET to the newest that the installed onnx supports.
        layout: one of LAYOUTS.
        batch_size: a fixed batch size, or None.
    """
    check_onnx()
    check_known("layout", layout, LAYOUTS)
    newest = _package("onnx").defs.onnx_opset_version()
    if not MIN_OPSET <= opset <= newest:
        nearest = MIN_OPSET if opset < MIN_OPSET else newest
        raise ValueError(f"opset must be in {MIN_OPSET}..{newest}, got {opset}: nearest is {nearest}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")


def read_onnx_record(path: str | os.PathLike) -> dict | None:
    """Return the record of an ONNX file; None if it has none.

    Raises:
        FileNotFoundError: for a missing file.
        OnnxFileError: for a file that ONNX Runtime cannot open, or a record that is not a JSON object.
    """
    return OnnxModel(path).record


class OnnxModel:
    """An ONNX file with one image as input and one output, run by ONNX Runtime on the CPU.

    Attributes:
        layout: layout of the images, "nhwc" or "nchw", from the record; "nhwc" without a record.
        takes, gives: shapes of the input and the output without the batch, images as (H, W, C); None for dynamic sizes.
        batch_size: the fixed batch size; None if any will do.
        record: the project's record in the file; None if there is none.

    Raises:
        FileNotFoundError: for a missing file.
        OnnxFileError: for a file that ONNX Runtime cannot open, or with other inputs or outputs.
    """

    def __init__(self, path: str | os.PathLike, *, threads: int = 1) -> None:
        check_onnx()
        self._path = Path(path)
        if not self._path.is_file():
            raise FileNotFoundError(no_such(path))
        self._session = _session(self._path, threads=threads)
        sources, results = self._session.get_inputs(), self._session.get_outputs()
        if len(sources) != 1 or len(results) != 1 or sources[0].type != "tensor(float)" or len(sources[0].shape) != 4:
            takes, gives = (", ".join(f"{end.type} {end.shape}" for end in ends) for ends in (sources, results))
            raise OnnxFileError(
                f"{path}: expected one float32 image input and one output, got inputs {takes} and outputs {gives}"
            )
        self._input = sources[0].name
        self.record = self._record()
        self.layout = (self.record or {}).get("layout", "nhwc")
        self.batch_size, *sizes = (size if isinstance(size, int) else None for size in sources[0].shape)
        self.takes = tuple(sizes if self.layout == "nhwc" else (*sizes[1:], sizes[0]))
        gives = [size if isinstance(size, int) else None for size in results[0].shape[1:]]
        self.gives = tuple((*gives[1:], gives[0]) if len(gives) == 3 and self.layout == "nchw" else gives)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the outputs for images (B, H, W, C), float32; feature maps as (B, h, w, c)."""
        if self.layout == "nchw":
            images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
        try:
            (outputs,) = self._session.run(None, {self._input: images})
        except Exception as error:  # the base class of ONNX Runtime's exceptions
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
            raise OnnxFileError(f"{self._path}: its record was not written by this project")
        return record


def node_counts(graph) -> dict[str, int]:
    """Return the number of nodes by operator, most frequent first."""
    return dict(collections.Counter(node.op_type for node in graph.node).most_common())


def _package(name: str) -> ModuleType:
    check_onnx()
    return importlib.import_module(name)


def _session(path: Path, *, threads: int):
    runtime = _package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors raise exceptions
    try:
        return runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the base class of ONNX Runtime's exceptions
        raise OnnxFileError(f"{path}: ONNX Runtime cannot run the model: {error}") from error
