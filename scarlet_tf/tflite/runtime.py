"""Opening, running and inspecting .tflite files."""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from scarlet_tf.paths import no_such
from scarlet_tf.tflite.first_look_process import allocate

_OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}

_FAILED = re.compile(r"Node number (\d+) \(([^()]*)\) failed to (prepare|invoke)\.?")  # in LiteRT's messages
_MARK = b"TFL3"  # file identifier of TFLite flatbuffers, at byte 4


class TFLiteFileError(ValueError):
    """Error raised for a file that is not a complete .tflite model, or that this interpreter cannot run."""


def open_interpreter(path: str | os.PathLike, *, threads: int = 1) -> Interpreter:
    """Return an interpreter with its tensors allocated; an open batch size becomes 1.

    Raises:
        FileNotFoundError: for a missing file.
        TFLiteFileError: for a file that the interpreter rejects; the message names the path and the operator.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(no_such(path))
    try:
        interpreter = Interpreter(os.fspath(path), num_threads=threads)
        allocate(interpreter)
    except (ValueError, RuntimeError) as error:
        reason = explain_refusal(path.read_bytes(), str(error))
        raise TFLiteFileError(f"{path}: the model cannot be run: {reason}") from error
    return interpreter


def invoke(interpreter: Interpreter, *, label: str | os.PathLike) -> None:
    """Run an interpreter; raise TFLiteFileError, naming the file by its label and the operator, if that fails."""
    try:
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise TFLiteFileError(f"{label}: the model cannot be run: {_shown(str(error))}") from error


def explain_refusal(content: bytes, message: str) -> str:
    """Return why an interpreter rejects a file: that it is empty, of another kind or damaged, or else its message."""
    if not content:
        return "the file is empty"
    if content[4:8] != _MARK:
        return "the file is not a .tflite file: it lacks the identifier TFL3"
    if "valid Flatbuffer" in message:
        return f"the file is truncated or damaged ({len(content):,} bytes)"
    return _shown(message)


def _shown(message: str) -> str:
    """Return the interpreter's message in one line, with the operator that failed in front."""
    message = " ".join(message.split())
    failed = _FAILED.search(message)
    if not failed:
        return message
    number, name, step = failed.groups()
    why = message.replace(failed[0], "").strip() or "no reason given"
    return f"operator {number}, {name}, failed to {'run' if step == 'invoke' else 'prepare'}: {why}"


def partition_count(interpreter: Interpreter) -> int:
    """Return the number of partitions that the delegate, XNNPACK by default, runs as a whole."""
    return sum(detail["op_name"] == "DELEGATE" for detail in interpreter._get_ops_details())


def quantized(values: np.ndarray, detail: Mapping) -> np.ndarray:
    """Return real values in the type of an interpreter's tensor, rounded and clipped for an integer one.

    Args:
        values: real numbers.
        detail: the tensor's entry in `get_input_details`, with "dtype" and "quantization".
    """
    dtype, (scale, zero_point) = np.dtype(detail["dtype"]), detail["quantization"]
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(dtype)


def dequantized(values: np.ndarray, detail: Mapping) -> np.ndarray:
    """Return values of an interpreter's tensor as float32; integers without a scale keep their values.

    Args:
        values: of the tensor.
        detail: the tensor's entry in `get_output_details`, with "quantization".
    """
    scale, zero_point = detail["quantization"]
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale or 1.0)


def operation_counts(path: str | os.PathLike) -> dict[str, int]:
    """Return the count of each operation in the file, most frequent first, before any delegate takes over nodes.

    An operation outside the built-in set, such as a Flex (TensorFlow) operation, counts as "custom:NAME".
    """
    open_interpreter(path)  # validates the file, which the schema's accessors do not
    model = schema.Model.GetRootAs(Path(path).read_bytes())
    counts = collections.Counter()
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for i in range(graph.OperatorsLength()):
            counts[_operator_name(model.OperatorCodes(graph.Operators(i).OpcodeIndex()))] += 1
    return dict(counts.most_common())


def _operator_name(code: schema.OperatorCode) -> str:
    if code.CustomCode():
        return f"custom:{code.CustomCode().decode()}"
    return _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]


def check_counts(*, threads: int, runs: int, warmup: int) -> None:
    """Raise ValueError for a count out of range."""
    for label, value, least in (("threads", threads, 1), ("runs", runs, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{label} must be >= {least}, got {value}")
