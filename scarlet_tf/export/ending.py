"""Kinds of model output (logits, probabilities, features), and a softmax for models that end in logits."""

from __future__ import annotations

import keras

from scarlet_tf.export.served import ServedModel

LOGITS, PROBABILITIES, FEATURES = "logits", "probabilities", "features"


def output_name(model: keras.Model | ServedModel) -> str:
    """Return "probabilities", "logits" or "features"; for a SavedModel, the output name in its signature."""
    if isinstance(model, ServedModel):
        return model.output_name
    last = model
    while isinstance(last, keras.Model):
        last = last.layers[-1] if last.layers else None
    if isinstance(last, keras.layers.Softmax):
        return PROBABILITIES
    if not isinstance(last, (keras.layers.Dense, keras.layers.Activation)) or len(model.output_shape) != 2:
        return FEATURES
    activation = last.activation
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        return PROBABILITIES
    return LOGITS if activation is keras.activations.linear else FEATURES


def with_softmax(model: keras.Model) -> keras.Model:
    """Return a model that ends in probabilities: the model itself if it does, else one with a float32 softmax added.

    Raises:
        ValueError: for a model that ends in neither logits nor probabilities.
    """
    ending = output_name(model)
    if ending == PROBABILITIES:
        return model
    if ending != LOGITS:
        raise ValueError(f"softmax needs a model that ends in logits, but {model.name!r} ends in {ending}")
    scores = keras.layers.Softmax(name=PROBABILITIES, dtype="float32")(model.outputs[0])
    return keras.Model(model.inputs[0], scores, name=model.name)
