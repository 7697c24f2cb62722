"""Rewriting of .tflite files: forms of operators and passes, a comparison before and after, and files on disk."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.files import check_output_file, write_atomically
from scarlet_tf.formats import SIZE, XNNPACK, check_max_growth
from scarlet_tf.paths import check_local, no_such
from scarlet_tf.tflite.choose import Choice, find_candidates, rewrite_operators
from scarlet_tf.tflite.cost_targets import tables_for
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.passes import PassReport
from scarlet_tf.tflite.passes.final_softmax import float_final_softmax
from scarlet_tf.tflite.passes.hard_swish import spell_hard_swish
from scarlet_tf.tflite.passes.split_depthwise import split_depthwise
from scarlet_tf.tflite.probe import Probe, probe
from scarlet_tf.tflite.record import add_record, read_record
from scarlet_tf.tflite.runtime import TFLiteFileError

Pass = Callable[[Graph], PassReport]

# For a float file before it is quantized without leaving a float operation, and for the quantized file.
INT8_ONLY_PASSES: tuple[Pass, ...] = (split_depthwise, spell_hard_swish)
AFTER_INT8_PASSES: tuple[Pass, ...] = (float_final_softmax,)

_SIZE_GROWTH = 1.01  # of a file that is optimized for size: forms that need a few bytes for operators
EXACT = 1e-5  # largest relative error of a float file that is rewritten


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimized:
    """A rewritten file, with the forms that were chosen for its operators and how its outputs changed.

    Attributes:
        content: of the new file; unchanged if no form was better than the plain ones.
        reports: of passes that changed the file, and of the forms that were chosen, one for the operators of each
            signature that were rewritten.
        optimize_for: the target that it was rewritten for.
        before, after: runs of the old and the new file on the same random input.
        relative_error: max |difference| / max |output| between their outputs.
    """

    content: bytes
    reports: tuple[PassReport | Choice, ...]
    optimize_for: str
    before: Probe
    after: Probe
    relative_error: float

    @property
    def rounds_anew(self) -> bool:
        """Whether int8 results are rounded at other points than before."""
        return any(report.rounds_anew for report in self.reports)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The forms that were chosen."""
        return tuple(report for report in self.reports if isinstance(report, Choice))


def run_passes(content: bytes, passes: Sequence[Pass]) -> tuple[bytes, tuple[PassReport, ...]]:
    """Apply passes to a file that `probe` has accepted; return its content, unchanged if none applied, and reports."""
    graph = Graph(content)
    reports = tuple(apply(graph) for apply in passes)
    return (graph.to_bytes() if any(report.changes for report in reports) else content), reports


def choose_forms(
    content: bytes, *, optimize_for: str = XNNPACK, max_growth: float | None = None
) -> tuple[bytes, tuple[PassReport | Choice, ...]]:
    """Rewrite the operators of a file in the forms that are cheapest on a target, and a softmax at its end in float.

    Args:
        content: of a file that `probe` has accepted or a converter has written.
        optimize_for: one of `scarlet_tf.formats.TARGETS`.
        max_growth: bound of the new file's size, as a multiple of the old; None for no bound.

    Returns:
        The new file's content, unchanged if no form is better, and what was done.

    Raises:
        ValueError: for an unknown target or a bound below 1.
        FormCostsError: if the costs on the target are not known.
    """
    check_max_growth(max_growth, optimize_for=optimize_for)
    candidates = find_candidates(Graph(content))
    tables = tables_for(optimize_for, [candidate.signature for candidate in candidates])
    if not tables:
        return content, ()
    content, reports = run_passes(content, AFTER_INT8_PASSES)
    bound = _SIZE_GROWTH if optimize_for == SIZE else max_growth
    content, choices = rewrite_operators(content, tables, max_growth=bound)
    return content, (*(report for report in reports if report.changes), *choices)


def optimize(content: bytes, *, label: str, optimize_for: str = XNNPACK, max_growth: float | None = None) -> Optimized:
    """Rewrite a .tflite file to run fast on a target, and run the old and the new one on the same input.

    Args:
        content: of the file.
        label: name of the file in messages, such as its path.
        optimize_for, max_growth: as for `choose_forms`.

    Raises:
        ValueError, FormCostsError: as `choose_forms`.
        TFLiteFileError: if the file cannot be run or rewritten; see `probe`.

    Example:
        >>> result = optimize(Path("plain.tflite").read_bytes(), label="plain.tflite", optimize_for="arm64")
        >>> print(*result.reports, sep="\n")
    """
    before = probe(content, label=label)
    rewritten, reports = choose_forms(content, optimize_for=optimize_for, max_growth=max_growth)
    after = probe(rewritten, label=f"{label}, rewritten", inputs=before.inputs)
    if [array.shape for array in after.outputs] != [array.shape for array in before.outputs]:
        raise TFLiteFileError(f"{label}: after rewriting, its outputs have other sizes: the file declares wrong ones")
    return Optimized(
        content=rewritten,
        reports=reports,
        optimize_for=optimize_for,
        before=before,
        after=after,
        relative_error=0.0 if rewritten == content else _relative_error(before.outputs, after.outputs),
    )


def optimize_file(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    max_error: float | None = None,
    optimize_for: str = XNNPACK,
    max_growth: float | None = None,
) -> Optimized:
    """Rewrite a .tflite file to run fast into another file, written atomically, and update its record.

    Args:
        source: file to read.
        target: file to write.
        max_error: largest allowed difference of outputs on a random input, as a share of the largest output. None for
            1e-5, or for no limit if int8 operators are rounded at other points: a random input says little about that.
        optimize_for, max_growth: as for `choose_forms`.

    Returns:
        The rewritten file, with what was chosen.

    Raises:
        ValueError, FormCostsError: as `choose_forms`.
        OSError: for a missing file, or a target that is a folder or cannot be created.
        TFLiteFileError: if the file cannot be run or rewritten, or its outputs differ by more than `max_error`.

    Example:
        >>> result = optimize_file("plain.tflite", "fast.tflite")
        >>> print(result.before.partitions, result.after.partitions)
    """
    check_local(target, why="the file is run from there: copy it afterwards")
    source, target = Path(source), Path(target)
    if not source.is_file():
        raise FileNotFoundError(no_such(source))
    check_output_file(target)
    content = source.read_bytes()
    result = optimize(content, label=str(source), optimize_for=optimize_for, max_growth=max_growth)
    if max_error is None:
        max_error = math.inf if result.rounds_anew else EXACT
    if not result.relative_error <= max_error:
        raise TFLiteFileError(
            f"{source}: after rewriting, its outputs differ by {result.relative_error:.2e} of the largest output, "
            f"above the limit {max_error:g}"
        )
    result = dataclasses.replace(result, content=_with_true_record(result, label=str(source)))
    write_atomically(target, result.content)
    return result


def _with_true_record(result: Optimized, *, label: str) -> bytes:
    content = result.content
    try:
        record = read_record(content)
    except TFLiteFileError as error:
        raise TFLiteFileError(f"{label}: {error}") from error
    if record is None:
        return content
    if not result.choices:  # the file is as before
        return content
    true = record | {"optimize_for": result.optimize_for}
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
