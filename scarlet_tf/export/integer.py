"""Full-integer quantization of a float .tflite file that has been rewritten since its conversion.

TFLiteConverter quantizes only what it converts itself. Its two halves, the calibrator and the quantizer, also take a
file; both are TensorFlow's own, but not part of its documented interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python import convert as converting
from tensorflow.lite.python.optimize.calibrator import Calibrator

from scarlet_tf.tflite.graph import Graph


def calibrate(content: bytes, feed: Callable[[], Iterable[list[np.ndarray]]]) -> bytes:
    """Return a float32 file with the least and the greatest value that every tensor takes on the images.

    Args:
        content: a file with one input of batch 1.
        feed: gives an iterator over inputs, each a list with one array (1, H, W, C).
    """
    return Calibrator(content).calibrate(feed)


def quantize_to_int8(
    calibrated: bytes, *, input_range: tuple[float, float] | None, input_type: str, output_type: str
) -> bytes:
    """Return a calibrated file with int8 weights, per channel, and int8 activations.

    Args:
        input_range: least and greatest input, in place of the calibrated ones; None: those.
        input_type, output_type: "float32", "int8" or "uint8".
    """
    if input_range is not None:
        graph = Graph(calibrated)
        (index,) = graph.subgraph.inputs
        low, high = ([value] for value in input_range)
        graph.tensor(index).quantization = schema.QuantizationParametersT(min=low, max=high)
        calibrated = graph.to_bytes()
    # "fully_quantize" would make the ends int8 too.
    return converting.mlir_quantize(
        calibrated, input_data_type=tf.as_dtype(input_type), output_data_type=tf.as_dtype(output_type)
    )


def require_no_float_operation(content: bytes) -> None:
    """Raise ValueError where an operation other than QUANTIZE and DEQUANTIZE computes in float, naming it."""
    if left := Graph(content).float_operations():
        raise ValueError(f"operations without an int8 form, which stayed float: {', '.join(sorted(left))}")
