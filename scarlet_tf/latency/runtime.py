"""Opening .tflite files, and what is in them."""

from __future__ import annotations

import collections
import os
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

_OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}

_MARK = b"TFL3"  # of a flatbuffer of TFLite's schema, at byte 4


class TFLiteFileError(ValueError):
    """A file that is not a whole .tflite model, or that this interpreter cannot run."""


def open_interpreter(path: str | os.PathLike, *, threads: int = 1) -> Interpreter:
    """An interpreter with its tensors allocated; FileNotFoundError, or TFLiteFileError naming the path."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        interpreter = Interpreter(os.fspath(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = explain_refusal(path.read_bytes(), str(error))
        raise TFLiteFileError(f"{path}: not a model that can be run: {reason}") from error
    return interpreter


def explain_refusal(content: bytes, message: str) -> str:
    """Why an interpreter refuses a file: its message, but where the file is none, or not whole, that."""
    if not content:
        return "the file is empty"
    if content[4:8] != _MARK:
        return "the file is of another kind: it lacks the mark TFL3 of .tflite files"
    if "valid Flatbuffer" in message:
        return f"the file is cut short or damaged ({len(content):,} bytes)"
    return message


def partition_count(interpreter: Interpreter) -> int:
    """Pieces of the model that the XNNPACK delegate took over; what lies between them runs operation by operation."""
    return sum(detail["op_name"] == "DELEGATE" for detail in interpreter._get_ops_details())


def count_partitions(interpreter: Interpreter) -> int:
    """Pieces of an open model that a delegate runs, XNNPACK where no other was asked for."""
    return sum(detail["op_name"] == "DELEGATE" for detail in interpreter._get_ops_details())


def operation_counts(path: str | os.PathLike) -> dict[str, int]:
    """How often each operation occurs in the file, most frequent first, before any delegate takes nodes over.

    An operation outside the built-in set counts as "custom:NAME"; Flex (TensorFlow) operations are such.
    """
    open_interpreter(path)  # verifies the file; the schema's accessors trust it
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
