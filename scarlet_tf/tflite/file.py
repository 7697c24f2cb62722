"""Rewriting of a .tflite file on disk."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

from scarlet_tf.files import check_output_file, write_atomically
from scarlet_tf.formats import XNNPACK
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.optimize import Optimized, optimize
from scarlet_tf.tflite.record import add_record, read_record
from scarlet_tf.tflite.runtime import TFLiteFileError

EXACT = 1e-5


def optimize_file(source: str | os.PathLike, target: str | os.PathLike, *, max_error: float | None = None) -> Optimized:
    """Rewrite a .tflite file for XNNPACK into another file, written atomically, and update its record.

    Args:
        source: file to read.
        target: file to write.
        max_error: largest allowed difference of outputs on a random input, as a share of the largest output. None for
            1e-5, or for no limit if int8 operators were rewritten: a random input says little about their rounding.

    Returns:
        The rewritten file, with the passes' reports.

    Raises:
        OSError: for a missing file, or a target that is a folder or cannot be created.
        TFLiteFileError: if the file cannot be run or rewritten, or its outputs differ by more than `max_error`.

    Example:
        >>> result = optimize_file("plain.tflite", "fast.tflite")
        >>> print(result.before.partitions, result.after.partitions)
    """
    source, target = Path(source), Path(target)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {source}")
    check_output_file(target)
    result = optimize(source.read_bytes(), label=str(source))
    if max_error is None:
        max_error = math.inf if result.rounds_anew else EXACT
    if not result.relative_error <= max_error:
        raise TFLiteFileError(
            f"{source}: after rewriting, its outputs differ by {result.relative_error:.2e} of the largest output, "
            f"above the limit {max_error:g}"
        )
    result = dataclasses.replace(result, content=_with_true_record(result.content, label=str(source)))
    write_atomically(target, result.content)
    return result


def _with_true_record(content: bytes, *, label: str) -> bytes:
    try:
        record = read_record(content)
    except TFLiteFileError as error:
        raise TFLiteFileError(f"{label}: {error}") from error
    if record is None:
        return content
    true = record | {"optimize_for": XNNPACK}
    if record.get("quantize") == "int8_pure" and Graph(content).float_operations():
        true["quantize"] = "int8"
    return content if true == record else add_record(content, true)
