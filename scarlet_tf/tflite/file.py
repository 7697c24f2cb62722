"""From file to file."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

from scarlet_tf.files import require_place, write_atomically
from scarlet_tf.formats import XNNPACK
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.optimize import Optimized, optimize
from scarlet_tf.tflite.record import add_record, read_record
from scarlet_tf.tflite.runtime import TFLiteFileError

EXACT = 1e-5


def optimize_file(source: str | os.PathLike, target: str | os.PathLike, *, max_error: float | None = None) -> Optimized:
    """Rewrites a .tflite file into another, which is written whole or not at all; its record then says so.

    Args:
        max_error: largest difference of outputs, as a share of the largest output, on a random input; None: 1e-5, and
            no limit where int8 operators were rewritten, whose roundings a random input says little about.

    Raises:
        OSError: for a missing file, or a target that is a folder, or that cannot be made.
        TFLiteFileError: for a file that cannot be run or rewritten, and where outputs differ by more.
    """
    source, target = Path(source), Path(target)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {source}")
    require_place(target)
    result = optimize(source.read_bytes(), label=str(source))
    if max_error is None:
        max_error = math.inf if result.rounds_anew else EXACT
    if not result.relative_error <= max_error:
        raise TFLiteFileError(
            f"{source}: rewritten, its outputs differ by {result.relative_error:.2e} of the largest, "
            f"limit {max_error:g}"
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
