"""Keras model -> .tflite with built-in operations only, batch 1."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from scarlet_tf.choices import require_known
from scarlet_tf.export.saved_model import export_saved_model
from scarlet_tf.files import write_atomically

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
INPUT_TYPES = ("float32", "uint8")


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    quantize: str = "none",
    input_type: str = "float32",
    representative: Iterable[np.ndarray] | None = None,
) -> Path:
    """Writes the file whole or not at all; arguments as `convert`'s, checked before anything is written."""
    check_options(quantize=quantize, input_type=input_type, has_representative=representative is not None)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        saved_model = export_saved_model(model, Path(folder) / "saved_model", batch_size=1)
        content = convert(saved_model, quantize=quantize, input_type=input_type, representative=representative)
    write_atomically(path, content)
    return path


def convert(
    saved_model: str | os.PathLike,
    *,
    quantize: str = "none",
    input_type: str = "float32",
    representative: Iterable[np.ndarray] | None = None,
) -> bytes:
    """The .tflite file of a SavedModel whose signature has batch 1.

    Args:
        quantize: "none" (float32), "float16" (weights stored as float16), "dynamic" (int8 weights, activations
            quantized as they come), or "int8" (full integer: weights and activations).
        input_type: "float32", or with "int8" also "uint8": the normalised image quantized with the input's own scale
            and zero point. The output is float32 always.
        representative: for "int8": batches of normalised images, float32 (B, H, W, C), that calibrate activations.

    Raises:
        ValueError: for an unknown or impossible combination of options, and for no or misshapen images.
    """
    check_options(quantize=quantize, input_type=input_type, has_representative=representative is not None)
    converter = tf.lite.TFLiteConverter.from_saved_model(os.fspath(saved_model))
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        images = [image for batch in representative for image in np.asarray(batch, np.float32)[:, np.newaxis]]
        if not images:
            raise ValueError("int8 needs representative images to calibrate with, got none")
        converter.representative_dataset = lambda: (
            [image] for image in tqdm(images, "calibrate", unit="image", disable=None)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8 if input_type == "uint8" else tf.float32
    return converter.convert()


def check_options(*, quantize: str, input_type: str, has_representative: bool) -> None:
    """ValueError for options that cannot be met together; says the nearest for a misspelt one."""
    for label, value, known in (("quantize", quantize, QUANTIZATIONS), ("input_type", input_type, INPUT_TYPES)):
        require_known(label, value, known)
    if input_type == "uint8" and quantize != "int8":
        raise ValueError(f"input_type 'uint8' needs quantize 'int8', got {quantize!r}")
    if quantize == "int8" and not has_representative:
        raise ValueError("quantize 'int8' needs representative images to calibrate with")
    if quantize != "int8" and has_representative:
        raise ValueError(f"representative images calibrate quantize 'int8' only, got {quantize!r}")
