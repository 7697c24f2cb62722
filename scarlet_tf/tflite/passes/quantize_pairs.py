"""QUANTIZE followed by DEQUANTIZE: two passes over the map that only round."""

from __future__ import annotations

from scarlet_tf.tflite.graph import Graph, Op, Type
from scarlet_tf.tflite.passes.report import PassReport


def cancel_quantize_pairs(graph: Graph) -> PassReport:
    """Lets a DEQUANTIZE's readers read what its QUANTIZE rounded; a QUANTIZE that others read stays for them."""
    cancelled = 0
    for dequantize in graph.of_kind(Op.DEQUANTIZE):
        source = graph.producer(dequantize.inputs[0])
        if source is None or graph.code(source) != Op.QUANTIZE:
            continue
        real, result = source.inputs[0], dequantize.outputs[0]
        requantizes = not (graph.is_type(real, Type.FLOAT32) and graph.is_type(result, Type.FLOAT32))
        through = real in graph.subgraph.inputs and graph.is_output(result)  # an output cannot be an input
        if not requantizes and not through:
            graph.redirect(result, real)
            cancelled += 1
    graph.prune()
    note = "QUANTIZE and DEQUANTIZE in a row" if cancelled else "no QUANTIZE before a DEQUANTIZE"
    return PassReport(name="cancel_quantize_pairs", changes=cancelled, note=note, rounds_anew=True)
