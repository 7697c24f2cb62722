"""Pass that splits 7x7 depthwise convolutions of a float file, before it is quantized to pure int8."""

from __future__ import annotations

from scarlet_tf.tflite.forms.parts import THREE_PARTS, Part, can_split, is_float_7x7, split
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.passes import PassReport


def split_depthwise(graph: Graph, parts: tuple[Part, ...] = THREE_PARTS) -> PassReport:
    """Split every float 7x7 depthwise convolution whose padding allows it; a PAD in front merges into theirs."""
    found = [operator for operator in graph.operators if is_float_7x7(graph, operator)]
    fitting = [operator for operator in found if can_split(graph, operator, parts)]
    for operator in fitting:
        split(graph, operator, parts=parts)
    graph.prune()
    if not found:
        return PassReport(name="split_depthwise", changes=0, note="no float 7x7 depthwise convolution")
    left = f"; {len(found) - len(fitting)} left, padded otherwise" if len(fitting) < len(found) else ""
    return PassReport(name="split_depthwise", changes=len(fitting), note=f"7x7 depthwise into {len(parts)} parts{left}")
