"""Pass that moves the final softmax of an int8 file to float; no int8 operation follows it."""

from __future__ import annotations

from scarlet_tf.tflite.graph import Graph, Op, Type
from scarlet_tf.tflite.passes import PassReport


def float_final_softmax(graph: Graph) -> PassReport:
    """Replace an int8 SOFTMAX and DEQUANTIZE at a float output by DEQUANTIZE and a float SOFTMAX.

    XNNPACK has no int8 SOFTMAX, and int8 probabilities are multiples of 1/256. A SOFTMAX inside the graph stays int8.
    """
    changes = 0
    for softmax in graph.of_kind(Op.SOFTMAX):
        (logits,), (probabilities,) = softmax.inputs, softmax.outputs
        readers = graph.consumers(probabilities)
        if not graph.is_type(logits, Type.INT8) or graph.is_output(probabilities) or len(readers) != 1:
            continue
        (last,) = readers
        if graph.code(last) != Op.DEQUANTIZE or not graph.is_output(last.outputs[0]):
            continue
        real = graph.add_tensor(Type.FLOAT32, graph.shape(logits), f"{graph.tensor_name(logits)}/real")
        dequantize = graph.new_operator(Op.DEQUANTIZE, [logits], [real], version=2)
        graph.replace(softmax, [dequantize])
        graph.replace(last, [graph.new_operator(Op.SOFTMAX, [real], last.outputs, options=softmax.builtinOptions)])
        changes += 1
    graph.prune()
    note = "SOFTMAX behind the last DEQUANTIZE" if changes else "no int8 SOFTMAX before the output's DEQUANTIZE"
    return PassReport(name="float_final_softmax", changes=changes, note=note, rounds_anew=True)
