"""Full-integer quantization of a float .tflite file that was rewritten after its conversion.

TFLiteConverter quantizes only what it converts itself. Its quantizer also accepts a file; it is part of TensorFlow, but
not of its documented API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tensorflow.lite.python import convert as converting

from scarlet_tf.backend import silent_native_code
from scarlet_tf.tflite.graph import Graph, Op, Type

_PRODUCTS = (Op.CONV_2D, Op.DEPTHWISE_CONV_2D, Op.FULLY_CONNECTED)
_LARGEST_MULTIPLIER = 128  # XNNPACK takes less than 256


def calibrate(content: bytes, feed: Callable[[], Iterable[list[np.ndarray]]]) -> bytes:
    """Return a float32 file that stores the minimum and maximum of every tensor over the calibration images.

    TensorFlow's own calibrator (2.21) widens the range of a tensor by that of an output that is computed in the same
    memory: the gate of an h-swish, a number in 0..1, gets the range of what it multiplies.

    Args:
        content: of a file with one input of batch 1.
        feed: returns an iterator over inputs, each a list with one array (1, H, W, C).
    """
    graph = Graph(content)
    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    made = [*graph.subgraph.inputs, *(index for operator in graph.operators for index in operator.outputs)]
    ranges = {index: (np.inf, -np.inf) for index in made if graph.is_type(index, Type.FLOAT32)}
    for (images,) in feed():
        interpreter.set_tensor(graph.subgraph.inputs[0], images)
        interpreter.invoke()
        for index, (low, high) in ranges.items():
            values = interpreter.get_tensor(index)
            ranges[index] = (min(low, values.min()), max(high, values.max()))
    for index, (low, high) in ranges.items():
        _set_range(graph, index, float(low), float(high))
    return graph.to_bytes()


def quantize_to_int8(
    calibrated: bytes, *, input_range: tuple[float, float] | None, input_type: str, output_type: str
) -> bytes:
    """Return a calibrated file quantized to int8 weights, per channel, and int8 activations.

    Args:
        calibrated: from `calibrate`.
        input_range: minimum and maximum input, replacing the calibrated ones; None to keep those.
        input_type, output_type: "float32", "int8" or "uint8".
    """
    graph = Graph(calibrated)
    if input_range is not None:
        (index,) = graph.subgraph.inputs
        _set_range(graph, index, *input_range)
    _widen_dead_ranges(graph)
    calibrated = graph.to_bytes()
    # Not with "fully_quantize", which would make the input and output int8 too.
    with silent_native_code():  # a line about its arguments
        return converting.mlir_quantize(
            calibrated, input_data_type=tf.as_dtype(input_type), output_data_type=tf.as_dtype(output_type)
        )


def _widen_dead_ranges(graph: Graph) -> None:
    """Widen the range of products that were next to nothing on all calibration images, such as a dead ReLU's.

    A product in int8 is multiplied by scale of input * scale of weights / scale of output. XNNPACK refuses to run a
    file in which that is 256 or more. An output with half of that still resolves a 32,768th of the largest product.
    """
    for operator in graph.operators:
        if graph.code(operator) not in _PRODUCTS:
            continue
        weights, known = graph.real_constant(operator.inputs[1]), _range(graph, operator.inputs[0])
        made = _range(graph, operator.outputs[0])
        if weights is None or known is None or made is None:
            continue
        least = (known[1] - known[0]) * float(np.abs(weights).max()) / 127 / _LARGEST_MULTIPLIER
        if made[1] - made[0] < least:
            _set_range(graph, operator.outputs[0], made[0], made[0] + least)


def _range(graph: Graph, index: int) -> tuple[float, float] | None:
    """Return the calibrated minimum and maximum of a tensor, widened to hold 0 as in quantization; None if unknown."""
    quantization = graph.tensor(index).quantization
    if quantization is None or quantization.min is None or quantization.max is None or not len(quantization.min):
        return None
    return min(0.0, float(quantization.min[0])), max(0.0, float(quantization.max[0]))


def _set_range(graph: Graph, index: int, low: float, high: float) -> None:
    graph.tensor(index).quantization = schema.QuantizationParametersT(min=[low], max=[high])


def check_no_float_operation(content: bytes) -> None:
    """Raise ValueError, naming them, for operations that compute in float; see `Graph.float_operations`."""
    if left := Graph(content).float_operations():
        raise ValueError(f"operations that have no int8 version and stayed in float: {', '.join(sorted(left))}")
