"""The ends of an exported model: normalisation of pixels before it, a softmax after it, and what its output means."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from scarlet_tf.export.served import ServedModel
from scarlet_tf.layers import normalise

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


def with_preprocessing(model: keras.Model, *, mean: Sequence[float], std: Sequence[float]) -> keras.Model:
    """Return a model that takes pixels, float32 0..255, and normalises them itself; see `layers.normalise`.

    Args:
        model: a model that takes normalised images.
        mean, std: one number per channel, of pixels divided by 255.
    """
    image = keras.Input(model.input_shape[1:], name="image")
    pixels = normalise(image, mean=mean, std=std, keras=keras, name="normalise")
    return keras.Model(image, model(pixels), name=model.name)
