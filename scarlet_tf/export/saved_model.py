"""Export of a Keras model to a SavedModel with one serving signature, for inference only."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from scarlet_tf.backend import check_tensorflow
from scarlet_tf.export.ends import output_name
from scarlet_tf.export.policy import in_float32
from scarlet_tf.export.served import SIGNATURE
from scarlet_tf.files import check_new_folder, write_atomically

check_tensorflow("scarlet_tf.export")

# Next to the graph, in the folder that TensorFlow reserves for files that it does not read itself.
RECORD = Path("assets.extra") / "scarlet_tf.json"


def export_saved_model(
    model: keras.Model, path: str | os.PathLike, *, batch_size: int | None = None, record: Mapping | None = None
) -> Path:
    """Write a Keras model as a SavedModel folder, atomically, and return its path.

    The signature "serving_default" takes `image`, float32 (batch, height, width, channels), and returns one tensor,
    named `probabilities`, `logits`, or `features` (without the top). The tensor is float32, whatever dtype policy the
    model has; see `in_float32`.

    Args:
        model: a Keras model, or a ServedModel.
        path: folder to write.
        batch_size: a fixed batch size; None for any.
        record: metadata to store in the folder, see `read_saved_record`.

    Raises:
        FileExistsError: if the path is a file or a folder that is not empty.
        PolicyError: for a model that cannot compute in float32.

    Example:
        >>> source = prepare("scarlet_a")
        >>> folder = export_saved_model(source.model, "a_saved_model", record=source.record)
    """
    check_new_folder(path)
    path, model = Path(path), in_float32(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(model, temporary, batch_size=batch_size)
        if record is not None:
            write_atomically(temporary / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def read_saved_record(path: str | os.PathLike) -> dict | None:
    """Return the record in a SavedModel folder, the same metadata as in a .tflite file; None without a record.

    Raises:
        ValueError: for a damaged record.
    """
    file = Path(path) / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(record, dict):
        raise ValueError(f"{file}: expected a JSON object, got {type(record).__name__}")
    return record if file.exists() else None


def save_frozen(model, path: str | os.PathLike, *, name: str, end=tf.identity) -> None:
    """Write a SavedModel of batch 1 whose weights are constants, which TFLiteConverter reads in half the time.

    Args:
        model: a Keras or tf_keras model that computes in float32.
        path: folder to write.
        name: of the output.
        end: function applied to the model's output, such as tf.nn.softmax.
    """
    frozen = convert_variables_to_constants_v2(
        _signature(lambda image: end(model(image, training=False)), model, batch_size=1)
    )
    named = _signature(lambda image: {name: frozen(image)[0]}, model, batch_size=1)  # freezing loses the output names
    tf.saved_model.save(tf.Module(), os.fspath(path), signatures={SIGNATURE: named})


def save_frozen_outputs(model: keras.Model, path: str | os.PathLike) -> None:
    """Write a SavedModel as `save_frozen` does, of a model that returns a dict of tensors by output name."""
    compute = _signature(lambda image: model(image, training=False), model, batch_size=1)
    frozen, names = convert_variables_to_constants_v2(compute), sorted(compute.structured_outputs)
    named = _signature(lambda image: dict(zip(names, frozen(image), strict=True)), model, batch_size=1)
    tf.saved_model.save(tf.Module(), os.fspath(path), signatures={SIGNATURE: named})


def _write(model: keras.Model, path: Path, *, batch_size: int | None) -> None:
    """Save only the variables and the signature; `model.export` tracks every weight twice and doubles the size."""
    name = output_name(model)
    module = tf.Module()
    module.weights = [v.value if isinstance(v, keras.Variable) else v for v in model.variables]
    signature = _signature(lambda image: {name: model(image, training=False)}, model, batch_size=batch_size)
    tf.saved_model.save(module, os.fspath(path), signatures={SIGNATURE: signature})


def _signature(compute, model, *, batch_size: int | None):
    """Trace `compute`, a function of `image`, for the model's image shape, and return the concrete function."""
    image = tf.TensorSpec((batch_size, *model.input_shape[1:]), tf.float32, name="image")
    return tf.function(compute, input_signature=[image], autograph=False).get_concrete_function()
