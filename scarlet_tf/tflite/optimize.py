"""Rewriting of .tflite files: the passes in order, a comparison before and after, and files on disk."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.files import check_output_file, write_atomically
from scarlet_tf.formats import XNNPACK
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.passes import PassReport
from scarlet_tf.tflite.passes.dynamic_range import float_depthwise_weights
from scarlet_tf.tflite.passes.final_softmax import float_final_softmax
from scarlet_tf.tflite.passes.float_islands import float_activations, float_islands
from scarlet_tf.tflite.passes.hard_swish import spell_hard_swish
from scarlet_tf.tflite.passes.split_depthwise import INT8_PARTS, split_depthwise
from scarlet_tf.tflite.probe import Probe, probe
from scarlet_tf.tflite.record import add_record, read_record
from scarlet_tf.tflite.runtime import TFLiteFileError

Pass = Callable[[Graph], PassReport]

XNNPACK_PASSES: tuple[Pass, ...] = (
    float_depthwise_weights,
    float_islands,
    float_activations,
    split_depthwise,
)


def split_depthwise_for_int8(graph: Graph) -> PassReport:
    """Run `split_depthwise` with the parts whose results are rounded the fewest times."""
    return split_depthwise(graph, INT8_PARTS)


# For a float file before it is quantized without leaving a float operation, and for the quantized file.
INT8_ONLY_PASSES: tuple[Pass, ...] = (split_depthwise_for_int8, spell_hard_swish)
AFTER_INT8_PASSES: tuple[Pass, ...] = (float_final_softmax,)

EXACT = 1e-5  # largest relative error of a float file that is rewritten


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimized:
    """A rewritten file, with what the passes did to it and how its outputs changed.

    Attributes:
        content: of the new file; unchanged if no pass applied.
        passes: one report per pass.
        before, after: runs of the old and the new file on the same random input.
        relative_error: max |difference| / max |output| between their outputs.
    """

    content: bytes
    passes: tuple[PassReport, ...]
    before: Probe
    after: Probe
    relative_error: float

    @property
    def rounds_anew(self) -> bool:
        """Whether int8 results are rounded at other points than before."""
        return any(report.changes and report.rounds_anew for report in self.passes)


def run_passes(content: bytes, passes: Sequence[Pass]) -> tuple[bytes, tuple[PassReport, ...]]:
    """Apply passes to a file that `probe` has accepted; return its content, unchanged if none applied, and reports."""
    graph = Graph(content)
    reports = tuple(apply(graph) for apply in passes)
    return (graph.to_bytes() if any(report.changes for report in reports) else content), reports


def optimize(content: bytes, *, label: str, passes: Sequence[Pass] = XNNPACK_PASSES) -> Optimized:
    """Rewrite a .tflite file for XNNPACK, and run the old and the new one on the same input.

    Args:
        content: of the file.
        label: name of the file in messages, such as its path.
        passes: to apply, in order.

    Raises:
        TFLiteFileError: if the file cannot be run or rewritten; see `probe`.

    Example:
        >>> result = optimize(Path("plain.tflite").read_bytes(), label="plain.tflite")
        >>> print(result.before.partitions, result.after.partitions)
    """
    before = probe(content, label=label)
    rewritten, reports = run_passes(content, passes)
    after = probe(rewritten, label=f"{label}, rewritten", inputs=before.inputs)
    if [array.shape for array in after.outputs] != [array.shape for array in before.outputs]:
        raise TFLiteFileError(f"{label}: after rewriting, its outputs have other sizes: the file declares wrong ones")
    return Optimized(
        content=rewritten,
        passes=reports,
        before=before,
        after=after,
        relative_error=0.0 if rewritten == content else _relative_error(before.outputs, after.outputs),
    )


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


def _relative_error(expected: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """Return the relative error; equal infinities and NaNs, which a random input may well produce, are no error."""
    errors, largest = [], []
    for a, b in zip(expected, got, strict=True):
        a, b = a.astype(np.float64), b.astype(np.float64)
        other = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        errors.append(np.abs(a[other] - b[other]).max(initial=0.0))
        largest.append(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return float(np.max(errors)) / (max(largest) or 1.0)
