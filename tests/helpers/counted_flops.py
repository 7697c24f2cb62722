"""Floating-point operations of a TensorFlow function, counted in its graph."""

import math

KERNEL_INPUT = {  # place of the kernel among the inputs
    "Conv2D": 1,
    "Conv2DBackpropInput": 1,
    "DepthwiseConv2dNative": 1,
    "DepthwiseConv2dNativeBackpropInput": 1,
}
KERNEL_OUTPUT = ("Conv2DBackpropFilter", "DepthwiseConv2dNativeBackpropFilter")
CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def count_flops(function) -> int:
    """Return the operations, two for each multiply-add, of all products and convolutions that a call executes.

    What no result needs is left out, as TensorFlow's runtime leaves it out.

    Args:
        function: a ConcreteFunction whose shapes are static.
    """
    graph = function.graph.as_graph_def(add_shapes=True)
    library = {each.signature.name: each for each in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    arguments = {node.name: shape_of(node, 0) for node in graph.node if node.op == "Placeholder"}
    wanted = [output.name for output in function.graph.outputs]
    return _count(nodes, library, arguments, wanted + [f"^{op.name}" for op in function.graph.control_outputs])


def shape_of(node, index: int) -> tuple[int, ...]:
    return tuple(axis.size for axis in node.attr["_output_shapes"].list.shape[index].dim)


def _count(nodes, library, arguments, wanted) -> int:
    """Count what the wanted tensors, and "^node" for nodes, depend on."""
    outputs: dict[str, set] = {}  # node -> its outputs that are needed
    stack = list(wanted)
    while stack:
        name, *place = stack.pop().lstrip("^").split(":")
        known = outputs.get(name)
        outputs.setdefault(name, set()).add(int(place[-1]) if place else 0)
        if known is None and name in nodes:
            stack += nodes[name].input

    def shape(tensor: str) -> tuple[int, ...]:
        name, *place = tensor.split(":")
        return arguments[name] if name in arguments else shape_of(nodes[name], int(place[-1]) if place else 0)

    total = 0
    for name, needed in outputs.items():
        if name not in nodes:
            continue
        node = nodes[name]
        inputs = [tensor for tensor in node.input if not tensor.startswith("^")]
        if node.op in CALLS:
            body = library[node.attr["f"].func.name]
            names = [argument.name for argument in body.signature.input_arg]
            returned = [body.ret[argument.name] for argument in body.signature.output_arg]
            total += _count(
                {inner.name: inner for inner in body.node_def},
                library,
                dict(zip(names, map(shape, inputs), strict=True)),
                [returned[index] for index in needed if returned] + [f"^{each}" for each in body.control_ret.values()],
            )
        elif node.op in ("MatMul", "BatchMatMulV2"):
            transposed = node.attr["transpose_a"].b or node.attr["adj_x"].b
            total += 2 * math.prod(shape_of(node, 0)) * shape(inputs[0])[-2 if transposed else -1]
        elif node.op in KERNEL_INPUT or node.op in KERNEL_OUTPUT:
            kernel = shape_of(node, 0) if node.op in KERNEL_OUTPUT else shape(inputs[KERNEL_INPUT[node.op]])
            maps = shape_of(node, 0) if node.op in ("Conv2D", "DepthwiseConv2dNative") else shape(inputs[2])
            terms = math.prod(kernel[:2]) * (1 if node.op.startswith("Depthwise") else kernel[2])
            total += 2 * math.prod(maps) * terms
    return total
