"""Keras model -> .tflite with built-in operations only, batch 1, rewritten to run fast."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from scarlet_tf.export.integer import quantize_to_int8
from scarlet_tf.export.saved_model import export_saved_model
from scarlet_tf.files import write_atomically
from scarlet_tf.formats import FLOAT32, QUANTIZATIONS, check_options, require_format
from scarlet_tf.progress import progress
from scarlet_tf.tflite import (
    AFTER_INT8_PASSES,
    INT8_ONLY_PASSES,
    XNNPACK_PASSES,
    PassReport,
    add_metadata,
    add_record,
    run_passes,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Converted:
    """A .tflite file's content, and what the passes did to it after the plain conversion."""

    content: bytes
    passes: tuple[PassReport, ...]


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    quantize: str = "float32",
    input_type: str = "float32",
    representative: Iterable[np.ndarray] | None = None,
    optimize_for: str = "xnnpack",
    record: dict | None = None,
) -> Converted:
    """Writes the file whole or not at all; arguments as `convert`'s, checked before anything is written.

    Args:
        record: what the file says about itself, see `scarlet_tf.tflite.read_record`; its quantization is added.
    """
    quantize = require_format("quantize", quantize, QUANTIZATIONS)
    check_options(
        quantize=quantize,
        input_type=input_type,
        has_representative=representative is not None,
        optimize_for=optimize_for,
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        saved_model = export_saved_model(model, Path(folder) / "saved_model", batch_size=1)
        converted = convert(
            saved_model,
            quantize=quantize,
            input_type=input_type,
            representative=representative,
            optimize_for=optimize_for,
        )
    if record is not None:
        record = record | {"quantize": quantize, "input_type": input_type, "optimize_for": optimize_for}
    return write_converted(converted, path, record=record)


def write_converted(converted: Converted, path: str | os.PathLike, *, record: dict | None) -> Converted:
    """Writes a converted file, with a record and TFLite metadata where there is one; returns what was written."""
    if record is not None:
        content = add_metadata(add_record(converted.content, record), record)
        converted = dataclasses.replace(converted, content=content)
    write_atomically(path, converted.content)
    return converted


def convert(
    saved_model: str | os.PathLike,
    *,
    quantize: str = "float32",
    input_type: str = "float32",
    representative: Iterable[np.ndarray] | None = None,
    optimize_for: str = "xnnpack",
) -> Converted:
    """The .tflite file of a SavedModel whose signature has batch 1.

    Args:
        quantize: "float32", "float16" (weights stored as float16), "dynamic" (int8 weights, activations
            quantized as they come), "int8" (weights and activations), or "int8_pure": int8 without any float
            operation between its ends, for accelerators that have none; a softmax is part of the float end.
        input_type: "float32", or with int8 also "uint8": the image quantized with the input's own scale and zero
            point. The output is float32 always.
        representative: for int8: batches of images as the model takes them, float32 (B, H, W, C), to calibrate
            activations with.
        optimize_for: "xnnpack": rewritten by `scarlet_tf.tflite`; with "int8" some operations then run in float.
            "none": a plain file, as the converter leaves it.

    Raises:
        ValueError: for an unknown or impossible combination of options, and for no or misshapen images.
    """
    quantize = require_format("quantize", quantize, QUANTIZATIONS)
    has_images = representative is not None
    check_options(quantize=quantize, input_type=input_type, has_representative=has_images, optimize_for=optimize_for)
    converter = tf.lite.TFLiteConverter.from_saved_model(os.fspath(saved_model))
    rewritten = optimize_for == "xnnpack"
    if quantize == "int8_pure" and rewritten:
        content, reports = run_passes(converter.convert(), INT8_ONLY_PASSES)
        content = quantize_to_int8(content, _feed(representative), input_type=input_type)
        content, more = run_passes(content, AFTER_INT8_PASSES)
        return Converted(content=content, passes=reports + more)
    if quantize != FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize.startswith("int8"):
        converter.representative_dataset = _feed(representative)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8 if input_type == "uint8" else tf.float32
    return rewrite(converter.convert()) if rewritten else Converted(content=converter.convert(), passes=())


def rewrite(content: bytes) -> Converted:
    """A file that the converter has just made, rewritten for XNNPACK."""
    content, reports = run_passes(content, XNNPACK_PASSES)
    return Converted(content=content, passes=reports)


def _feed(representative: Iterable[np.ndarray]) -> Callable[[], Iterable[list[np.ndarray]]]:
    """What the converter calibrates with: one image at a time."""
    images = [image for batch in representative for image in np.asarray(batch, np.float32)[:, np.newaxis]]
    if not images:
        raise ValueError("int8 needs representative images to calibrate with, got none")
    return lambda: ([image] for image in progress(images, "calibrate", unit="image"))
