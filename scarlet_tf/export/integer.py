"""Full-integer quantization of a float .tflite file that has been rewritten since its conversion.

TFLiteConverter quantizes only what it converts itself. Its two halves, the calibrator and the quantizer, also take a
file; both are TensorFlow's own, but not part of its documented interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import convert as converting
from tensorflow.lite.python.optimize.calibrator import Calibrator

from scarlet_tf.tflite.graph import Graph, Op, Type


def quantize_to_int8(
    content: bytes, feed: Callable[[], Iterable[list[np.ndarray]]], *, input_type: str = "float32"
) -> bytes:
    """int8 weights, per channel, and int8 activations, with the ranges that the images give.

    Args:
        content: a float32 file with one input of batch 1.
        feed: gives an iterator over inputs, each a list with one array (1, H, W, C).
        input_type: "float32" or "uint8", of the new file's input; its output is float32.

    Raises:
        ValueError: where an operation stays float, naming it.
    """
    calibrated = Calibrator(content).calibrate(feed)
    image_type = tf.uint8 if input_type == "uint8" else tf.float32
    # "fully_quantize" would make the ends int8 too.
    quantized = converting.mlir_quantize(calibrated, input_data_type=image_type, output_data_type=tf.float32)
    if left := _float_operations(quantized):
        raise ValueError(f"operations without an int8 form, which stayed float: {', '.join(left)}")
    return quantized


def _float_operations(content: bytes) -> list[str]:
    """Names of operators between QUANTIZE and DEQUANTIZE that compute in float."""
    graph = Graph(content)
    inner = [operator for operator in graph.operators if graph.code(operator) not in (Op.QUANTIZE, Op.DEQUANTIZE)]
    return sorted({graph.name(op) for op in inner if any(graph.is_type(i, Type.FLOAT32) for i in op.outputs)})
