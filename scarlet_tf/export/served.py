"""Wrapper that lets a SavedModel take the place of a Keras model, to export what another program saved."""

from __future__ import annotations

import os

import tensorflow as tf

SIGNATURE = "serving_default"


class ServedModel:
    """Serving signature of a SavedModel: one image in, one tensor out, inference only.

    Attributes:
        name: of the folder.
        input_shape: (batch or None, H, W, C).
        output_shape: (batch or None, ...).
        output_name: name of the output in the signature.
        variables: that the signature uses, to save with it.

    Raises:
        ValueError: if the folder is not a SavedModel, or its signature does not map one float32 image to one float32
            tensor.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        try:
            self._loaded = tf.saved_model.load(os.fspath(path))
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise ValueError(f"{path}: cannot be loaded as a SavedModel: {error}") from error
        if SIGNATURE not in self._loaded.signatures:
            raise ValueError(f"{path}: expected a signature {SIGNATURE!r}, got {sorted(self._loaded.signatures)}")
        self._function = self._loaded.signatures[SIGNATURE]
        inputs = self._function.structured_input_signature[1]
        outputs = self._function.structured_outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(f"{path}: expected one input and one output, got {sorted(inputs)} and {sorted(outputs)}")
        ((self._input, spec),) = inputs.items()
        if spec.dtype != tf.float32 or spec.shape.rank != 4 or None in spec.shape.as_list()[1:]:
            raise ValueError(f"{path}: expected float32 images of a fixed size, got {spec.dtype.name} {spec.shape}")
        ((self.output_name, result),) = outputs.items()
        if result.dtype != tf.float32:
            raise ValueError(f"{path}: expected float32 outputs, got {result.dtype.name}: save it under policy float32")
        self.output_shape = tuple(result.shape.as_list())
        self.name = os.path.basename(os.path.normpath(path))
        self.input_shape = tuple(spec.shape.as_list())
        self.variables = list(self._function.variables)

    def __call__(self, images, training: bool = False):
        if training:
            raise ValueError("a SavedModel's serving signature is for inference only")
        return self._function(**{self._input: tf.convert_to_tensor(images, tf.float32)})[self.output_name]
