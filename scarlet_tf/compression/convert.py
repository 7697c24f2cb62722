"""Conversion of a folder from quantisation-aware training to an int8 .tflite file, with the learned ranges."""

from __future__ import annotations

import os
import tempfile

import tensorflow as tf

from scarlet_tf.choices import check_known
from scarlet_tf.compression.config import CompressionError
from scarlet_tf.compression.qat import QuantizedModel
from scarlet_tf.compression.ranges import FILE, read_ranges
from scarlet_tf.compression.source import open_source
from scarlet_tf.compression.twin import make_twin
from scarlet_tf.export import Converted
from scarlet_tf.export.saved_model import save_frozen
from scarlet_tf.export.tflite import rewrite, write_converted
from scarlet_tf.formats import END_TYPES, TARGETS, check_max_growth
from scarlet_tf.paths import local_copy


def open_qat(folder: str | os.PathLike):
    """Open the quantised tf_keras model of a folder that `compress` wrote with method "qat".

    Raises:
        CompressionError: if its ranges are missing, damaged, or belong to another model.
    """
    folder = local_copy(folder)
    ranges = read_ranges(folder / FILE)
    source = open_source(folder)
    twin = make_twin(source.spec, source.weights, input_shape=source.input_shape, bn=source.bn)
    quantized = QuantizedModel(twin)
    try:
        quantized.set_ranges(ranges)
    except ValueError as error:
        raise CompressionError(f"{folder / FILE} does not match its model: {error}") from error
    return quantized.model


def export_qat(
    folder: str | os.PathLike,
    path: str | os.PathLike,
    *,
    input_type: str = "float32",
    output_type: str = "float32",
    optimize_for: str = "xnnpack",
    max_growth: float | None = None,
    softmax: bool = False,
    record: dict | None = None,
) -> Converted:
    """Write the int8 .tflite file of a folder that `compress` wrote with method "qat", atomically.

    Args:
        folder, input_type, output_type, softmax: as in `convert_qat`.
        path: the .tflite file.
        optimize_for, max_growth, record: as in `export.export_tflite`.
    """
    check_known("optimize_for", optimize_for, TARGETS)
    check_max_growth(max_growth, optimize_for=optimize_for)
    content = convert_qat(folder, input_type=input_type, output_type=output_type, softmax=softmax)
    converted = rewrite(content, optimize_for=optimize_for, max_growth=max_growth)
    return write_converted(converted, path, quantize="int8", optimize_for=optimize_for, record=record)


def convert_qat(
    folder: str | os.PathLike, *, input_type: str = "float32", output_type: str = "float32", softmax: bool = False
) -> bytes:
    """Return the int8 .tflite file of a folder that `compress` wrote with method "qat". No images are needed.

    The file has batch 1, built-in operations only, and returns logits.

    Args:
        folder: of the trained model.
        softmax: return probabilities instead of logits.
        input_type, output_type: "float32", "int8" or "uint8", as in `export.convert`; the input is a normalised image.
    """
    check_known("input_type", input_type, END_TYPES)
    check_known("output_type", output_type, END_TYPES)
    ends = {"input_type": input_type, "output_type": output_type}
    return convert_quantized(open_qat(folder), **ends, softmax=softmax)


def convert_quantized(
    model, *, input_type: str = "float32", output_type: str = "float32", softmax: bool = False
) -> bytes:
    """Return the int8 .tflite file of a quantised tf_keras model, see `convert_qat`."""
    name, end = ("probabilities", tf.nn.softmax) if softmax else ("logits", tf.identity)
    with tempfile.TemporaryDirectory() as saved_model:
        save_frozen(model, saved_model, name=name, end=end)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]  # honours the fake quantisation
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.inference_input_type = tf.as_dtype(input_type)
        converter.inference_output_type = tf.as_dtype(output_type)
        return converter.convert()
