"""Pass that rewrites h-swish in operators that every int8 accelerator has."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scarlet_tf.tflite.graph import Activation, Graph, Op, Type
from scarlet_tf.tflite.passes import PassReport


def spell_hard_swish(graph: Graph) -> PassReport:
    """Rewrite float HARD_SWISH as x * (relu6(x + 3) / 6): ADD with a fused RELU6 (slow on its own), MUL, MUL."""
    found = [operator for operator in graph.of_kind(Op.HARD_SWISH) if graph.is_type(operator.inputs[0], Type.FLOAT32)]
    if not found:
        return PassReport(name="spell_hard_swish", changes=0, note="no float HARD_SWISH")
    three = graph.add_constant(np.float32(3.0), "h_swish/three")
    sixth = graph.add_constant(np.float32(1.0 / 6.0), "h_swish/sixth")
    for operator in found:
        (x,), (output,) = operator.inputs, operator.outputs
        name, shape = graph.tensor_name(output), graph.shape(output)
        shifted = graph.add_tensor(Type.FLOAT32, shape, f"{name}/relu6")
        gate = graph.add_tensor(Type.FLOAT32, shape, f"{name}/gate")
        add = schema.AddOptionsT(fusedActivationFunction=Activation.RELU6)
        made = [
            graph.new_operator(Op.ADD, [x, three], [shifted], options=add),
            graph.new_operator(Op.MUL, [shifted, sixth], [gate], options=schema.MulOptionsT()),
            graph.new_operator(Op.MUL, [x, gate], [output], options=schema.MulOptionsT()),
        ]
        graph.replace(operator, made)
    graph.prune()
    return PassReport(name="spell_hard_swish", changes=len(found), note="HARD_SWISH as ADD with RELU6, MUL, MUL")
