"""The passes in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.passes.dynamic_range import float_depthwise_weights
from scarlet_tf.tflite.passes.final_softmax import float_final_softmax
from scarlet_tf.tflite.passes.float_islands import float_activations, float_islands
from scarlet_tf.tflite.passes.hard_swish import spell_hard_swish
from scarlet_tf.tflite.passes.report import PassReport
from scarlet_tf.tflite.passes.split_depthwise import INT8_PARTS, split_depthwise
from scarlet_tf.tflite.probe import Probe, probe
from scarlet_tf.tflite.runtime import TFLiteFileError

Pass = Callable[[Graph], PassReport]

XNNPACK_PASSES: tuple[Pass, ...] = (
    float_depthwise_weights,
    float_islands,
    float_activations,
    split_depthwise,
)


def split_depthwise_for_int8(graph: Graph) -> PassReport:
    """`split_depthwise` into the parts whose results are rounded the least often."""
    return split_depthwise(graph, INT8_PARTS)


# Of a float file that is to be quantized without leaving a float operation, and of what the quantizer then gives.
INT8_ONLY_PASSES: tuple[Pass, ...] = (split_depthwise_for_int8, spell_hard_swish)
AFTER_INT8_PASSES: tuple[Pass, ...] = (float_final_softmax,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimized:
    """A rewritten file and what was done to it.

    Attributes:
        content: of the new file; the old one's where no pass applied.
        before, after: both files run on the same random input.
        relative_error: max |difference| / max |output| between them.
    """

    content: bytes
    passes: tuple[PassReport, ...]
    before: Probe
    after: Probe
    relative_error: float

    @property
    def rounds_anew(self) -> bool:
        """Whether int8 results are rounded at other places than before."""
        return any(report.changes and report.rounds_anew for report in self.passes)


def run_passes(content: bytes, passes: Sequence[Pass]) -> tuple[bytes, tuple[PassReport, ...]]:
    """Rewrites a file that `probe` has accepted; the content itself where no pass applies."""
    graph = Graph(content)
    reports = tuple(apply(graph) for apply in passes)
    return (graph.to_bytes() if any(report.changes for report in reports) else content), reports


def optimize(content: bytes, *, label: str, passes: Sequence[Pass] = XNNPACK_PASSES) -> Optimized:
    """Rewrites any .tflite file for XNNPACK, and runs old and new on the same input.

    Raises:
        TFLiteFileError: for a file that cannot be run or rewritten, with `label`; see `probe`.
    """
    before = probe(content, label=label)
    rewritten, reports = run_passes(content, passes)
    after = probe(rewritten, label=f"{label}, rewritten", inputs=before.inputs)
    if [array.shape for array in after.outputs] != [array.shape for array in before.outputs]:
        raise TFLiteFileError(f"{label}: rewritten, its outputs have other sizes: the file states wrong ones")
    return Optimized(
        content=rewritten,
        passes=reports,
        before=before,
        after=after,
        relative_error=0.0 if rewritten == content else _relative_error(before.outputs, after.outputs),
    )


def _relative_error(expected: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """Infinities and NaNs count as equal to themselves, which a random input may well give."""
    errors, largest = [], []
    for a, b in zip(expected, got, strict=True):
        a, b = a.astype(np.float64), b.astype(np.float64)
        other = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        errors.append(np.abs(a[other] - b[other]).max(initial=0.0))
        largest.append(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return float(np.max(errors)) / (max(largest) or 1.0)
