"""From file to file."""

from __future__ import annotations

import math
import os
from pathlib import Path

from scarlet_tf.files import require_place, write_atomically
from scarlet_tf.latency.runtime import TFLiteFileError
from scarlet_tf.tflite.optimize import Optimized, optimize

EXACT = 1e-5


def optimize_file(source: str | os.PathLike, target: str | os.PathLike, *, max_error: float | None = None) -> Optimized:
    """Rewrites a .tflite file into another, which is written whole or not at all.

    Args:
        max_error: largest difference of outputs, as a share of the largest output, on a random input; None: 1e-5, and
            no limit where int8 operators were rewritten, whose roundings a random input says little about.

    Raises:
        OSError: for a missing file, or a target that is a folder or lies in none.
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
    write_atomically(target, result.content)
    return result
