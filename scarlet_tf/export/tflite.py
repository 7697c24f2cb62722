"""Export of a Keras model to a .tflite file of batch 1, with built-in operations only, rewritten to run fast."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from scarlet_tf.export.ends import output_name
from scarlet_tf.export.integer import calibrate, check_no_float_operation, quantize_to_int8
from scarlet_tf.export.policy import in_float32
from scarlet_tf.export.saved_model import save_frozen
from scarlet_tf.export.verify import ExportError
from scarlet_tf.files import write_atomically
from scarlet_tf.formats import FLOAT32, NONE, QUANTIZATIONS, check_max_growth, check_options, parse_format
from scarlet_tf.paths import check_local
from scarlet_tf.progress import progress
from scarlet_tf.tflite import (
    AFTER_INT8_PASSES,
    INT8_ONLY_PASSES,
    Choice,
    PassReport,
    add_metadata,
    add_record,
    choose_forms,
    ends_of,
    run_passes,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Converted:
    """Content of a .tflite file, and what the passes did and which forms were chosen after the conversion."""

    content: bytes
    reports: tuple[PassReport | Choice, ...]


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    quantize: str = "float32",
    input_type: str = "float32",
    output_type: str = "float32",
    representative: Iterable[np.ndarray] | None = None,
    input_range: tuple[float, float] | None = None,
    optimize_for: str = "xnnpack",
    max_growth: float | None = None,
    record: dict | None = None,
) -> Converted:
    """Export a Keras model to a .tflite file, written atomically.

    Other arguments are as for `convert`; they are checked before anything is written. LETs are not folded; `prepare`
    does that.

    Args:
        model: a Keras model, or a ServedModel.
        path: file to write.
        record: metadata to store in the file, see `scarlet_tf.tflite.read_record`. The quantization, the input and
            output types, and the scale and zero point of integer inputs and outputs are added.

    Returns:
        The content as written, and what the passes did and which forms were chosen.

    Raises:
        ValueError, ExportError: as `convert`.
        PolicyError: for a model that cannot compute in float32.

    Example:
        >>> source = prepare("scarlet_a")
        >>> converted = export_tflite(source.model, "a.tflite", record=source.record)
        >>> print(*converted.reports)
    """
    quantize = parse_format("quantize", quantize, QUANTIZATIONS)
    check_options(
        quantize=quantize,
        input_type=input_type,
        output_type=output_type,
        has_representative=representative is not None,
        optimize_for=optimize_for,
    )
    check_max_growth(max_growth, optimize_for=optimize_for, quantize=quantize)
    check_local(path, why="the file is run from there: copy it afterwards")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        model = in_float32(model)
        save_frozen(model, folder, name=output_name(model))
        converted = convert(
            folder,
            quantize=quantize,
            input_type=input_type,
            output_type=output_type,
            representative=representative,
            input_range=input_range,
            optimize_for=optimize_for,
            max_growth=max_growth,
        )
    return write_converted(converted, path, quantize=quantize, optimize_for=optimize_for, record=record)


def write_converted(
    converted: Converted, path: str | os.PathLike, *, quantize: str, optimize_for: str, record: dict | None
) -> Converted:
    """Write a converted file, adding TFLite metadata and the record if one is given, and return what was written."""
    if record is not None:
        record = record | {"quantize": quantize, "optimize_for": optimize_for} | ends_of(converted.content)
        content = add_metadata(add_record(converted.content, record), record)
        converted = dataclasses.replace(converted, content=content)
    write_atomically(path, converted.content)
    return converted


def convert(
    saved_model: str | os.PathLike,
    *,
    quantize: str = "float32",
    input_type: str = "float32",
    output_type: str = "float32",
    representative: Iterable[np.ndarray] | None = None,
    input_range: tuple[float, float] | None = None,
    optimize_for: str = "xnnpack",
    max_growth: float | None = None,
) -> Converted:
    """Convert a SavedModel whose signature has batch 1 to a .tflite file.

    Args:
        saved_model: folder of the SavedModel.
        quantize: "float32", "float16" (weights stored as float16), "dynamic" (int8 weights, activations quantized at
            run time), "int8" (weights and activations), or "int8_pure": int8 without any float operation between
            input and output, for accelerators that have none.
        input_type, output_type: "float32"; for "int8" and "int8_pure" also "int8" and "uint8", which hold quantized
            values: the real value is (value - zero point) * scale. With integers at both ends, an "int8_pure" file
            computes nothing in float; a rewritten "int8" file still has float operations inside. A final softmax runs
            in float where possible: in "int8_pure" with float32 output, after the last DEQUANTIZE, and in "int8"
            rewritten for XNNPACK. Otherwise it is int8, and an integer output has the scale 1/256 that TFLite
            prescribes; export the logits for finer scores.
        representative: calibration set for int8 formats: batches of images, float32 (B, H, W, C), preprocessed for the
            model.
        input_range: minimum and maximum input for int8 formats, if known; None to use the calibrated ones. With
            (0, 255), for pixels, the input's scale is 1, and the zero point of a uint8 input is 0.
        optimize_for: what the operators' forms are chosen for, by their measured costs; with "int8", some then run in
            float. "xnnpack": all phones and PCs, by the worst of them; "arm64": phones with dot products; "host": this
            machine; "android": the device that `tools/measure_forms.py` measured; "size": as "xnnpack", but the file
            grows by 1 % at most; "none": the plain file that the converter writes. An "int8_pure" file is rewritten in
            the same way for all but "none".
        max_growth: bound of the rewritten file's size, as a multiple of the plain file's; None for no bound.

    Raises:
        ValueError: for an unknown option or invalid combination, and for missing or misshapen images.
        ExportError: if TensorFlow's converter rejects the model.
    """
    quantize = parse_format("quantize", quantize, QUANTIZATIONS)
    check_options(
        quantize=quantize,
        input_type=input_type,
        output_type=output_type,
        has_representative=representative is not None,
        optimize_for=optimize_for,
    )
    check_max_growth(max_growth, optimize_for=optimize_for, quantize=quantize)
    started = start_conversion(saved_model, quantize=quantize, representative=representative, optimize_for=optimize_for)
    return finish_conversion(
        started,
        quantize=quantize,
        input_type=input_type,
        output_type=output_type,
        input_range=input_range,
        optimize_for=optimize_for,
        max_growth=max_growth,
    )


def start_conversion(
    saved_model: str | os.PathLike,
    *,
    quantize: str,
    representative: Iterable[np.ndarray] | None = None,
    optimize_for: str = "xnnpack",
) -> Converted:
    """Run TensorFlow's converter, the first half of `convert`; `finish_conversion` is the second.

    Between them, a file can be cut or joined with others: files for int8 formats are float32, and store the range of
    every tensor on the calibration images.

    The arguments are those of `convert`, already checked, and so are the errors.

    Returns:
        The file, with the reports of the passes that ran before quantization.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(os.fspath(saved_model))
    if quantize == "int8_pure" and optimize_for != NONE:
        content, reports = run_passes(_converted(converter), INT8_ONLY_PASSES)
        return Converted(content=calibrate(content, _feed(representative)), reports=reports)
    if quantize != FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize.startswith("int8"):
        converter.representative_dataset = _feed(representative)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter._experimental_calibrate_only = True
    return Converted(content=_converted(converter), reports=())


def finish_conversion(
    started: Converted,
    *,
    quantize: str,
    input_type: str = "float32",
    output_type: str = "float32",
    input_range: tuple[float, float] | None = None,
    optimize_for: str = "xnnpack",
    max_growth: float | None = None,
) -> Converted:
    """Quantize to int8 if wanted, and rewrite: the second half of `convert`.

    Args:
        started: from `start_conversion`, or made of pieces of such files.
        quantize, optimize_for: as given to `start_conversion`.
        input_type, output_type, input_range, max_growth: as for `convert`.

    Returns:
        The file, with the reports of both halves.

    Raises:
        ValueError: for "int8_pure", if an operation has no int8 version, and as `tflite.choose_forms`.
    """
    content = started.content
    if quantize.startswith("int8"):
        content = quantize_to_int8(content, input_range=input_range, input_type=input_type, output_type=output_type)
    if quantize == "int8_pure":
        check_no_float_operation(content)
    if quantize == "int8_pure":
        content, reports = run_passes(content, AFTER_INT8_PASSES if optimize_for != NONE else ())
        return Converted(content=content, reports=(*started.reports, *reports))
    return rewrite(content, optimize_for=optimize_for, max_growth=max_growth)


def _converted(converter) -> bytes:
    try:
        return converter.convert()
    except ConverterError as error:
        lines = [line.strip() for line in str(error).splitlines() if "error:" in line] or [str(error).strip()]
        raise ExportError(f"TensorFlow's converter rejects the model: {lines[0][:500]}") from error


def rewrite(content: bytes, *, optimize_for: str = "xnnpack", max_growth: float | None = None) -> Converted:
    """Rewrite a file fresh from the converter to run fast; other arguments as for `tflite.choose_forms`."""
    content, reports = choose_forms(content, optimize_for=optimize_for, max_growth=max_growth)
    return Converted(content=content, reports=reports)


def _feed(representative: Iterable[np.ndarray]) -> Callable[[], Iterable[list[np.ndarray]]]:
    """Return a function that feeds the calibration images to the converter, one at a time."""
    images = [image for batch in representative for image in np.asarray(batch, np.float32)[:, np.newaxis]]
    if not images:
        raise ValueError("int8 needs a representative dataset to calibrate with, got none")
    return lambda: ([image] for image in progress(images, "calibrate", unit="image"))
