"""Full-integer quantization of a float .tflite file that was rewritten after its conversion.

TFLiteConverter quantizes only what it converts itself. Its two halves, the calibrator and the quantizer, also accept a
file. Both are part of TensorFlow, but not of its documented API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python import convert as converting
from tensorflow.lite.python.optimize.calibrator import Calibrator

from scarlet_tf.backend import silent_native_code
from scarlet_tf.tflite.graph import Graph


def calibrate(content: bytes, feed: Callable[[], Iterable[list[np.ndarray]]]) -> bytes:
    """Return a float32 file that stores the minimum and maximum of every tensor over the calibration images.

    Args:
        content: of a file with one input of batch 1.
        feed: returns an iterator over inputs, each a list with one array (1, H, W, C).
    """
    return Calibrator(content).calibrate(feed)


def quantize_to_int8(
    calibrated: bytes, *, input_range: tuple[float, float] | None, input_type: str, output_type: str
) -> bytes:
    """Return a calibrated file quantized to int8 weights, per channel, and int8 activations.

    Args:
        calibrated: from `calibrate`.
        input_range: minimum and maximum input, replacing the calibrated ones; None to keep those.
        input_type, output_type: "float32", "int8" or "uint8".
    """
    if input_range is not None:
        graph = Graph(calibrated)
        (index,) = graph.subgraph.inputs
        low, high = ([value] for value in input_range)
        graph.tensor(index).quantization = schema.QuantizationParametersT(min=low, max=high)
        calibrated = graph.to_bytes()
    # Not with "fully_quantize", which would make the input and output int8 too.
    with silent_native_code():  # a line about its arguments
        return converting.mlir_quantize(
            calibrated, input_data_type=tf.as_dtype(input_type), output_data_type=tf.as_dtype(output_type)
        )


def check_no_float_operation(content: bytes) -> None:
    """Raise ValueError, naming them, for operations that compute in float; see `Graph.float_operations`."""
    if left := Graph(content).float_operations():
        raise ValueError(f"operations that have no int8 version and stayed in float: {', '.join(sorted(left))}")
