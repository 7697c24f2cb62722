"""Keras models of named networks, spec files, genomes and specs, with the arguments of keras.applications."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Sequence

import keras as keras3

from scarlet_tf.arch import ArchSpec, scale
from scarlet_tf.choices import check_known
from scarlet_tf.image_size import ImageSize
from scarlet_tf.layers import BatchNorm
from scarlet_tf.models import build, set_weights
from scarlet_tf.zoo.arguments import check_arguments, check_keras, resolve_input_shape
from scarlet_tf.zoo.files import check_weights_file
from scarlet_tf.zoo.preprocessing import ASSUMED_PREPROCESSING, read_preprocessing
from scarlet_tf.zoo.registry import get_spec, resolve_spec
from scarlet_tf.zoo.weights import IMAGENET, imagenet_weights, read_weights


def create_model(
    model: str | os.PathLike | Sequence[int] | ArchSpec,
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: str | None = "softmax",
    include_preprocessing: bool = False,
    dropout_rate: float | None = None,
    bn_epsilon: float = 1e-5,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: ImageSize | None = None,
    keras=keras3,
    name: str | None = None,
):
    """Create a Keras model, with the arguments of keras.applications.

    Args:
        model: a name from `list_models()`, the path of a spec's JSON file, a genome of the search space "scarlet" (a
            sequence of 19 integers, or text like "4,8,2,..."), or an ArchSpec.
        include_top: whether to include global pooling, dropout and the classifier; without them, the model returns the
            tail's feature map.
        weights: None for the official initialisation; "imagenet" for the official weights, which must be converted
            first; or the path of a `.weights.h5` file, or of a `.keras` file (with or without the top).
        input_tensor: a Keras tensor to use as the model's input; it then determines the input shape.
        input_shape: (height, width, channels). Default: the spec's resolution; without the top, any height and width.
        pooling: without the top, None, or "avg" or "max" over the feature map.
        classes: number of classes; default: the spec's (1000 for the named networks).
        classifier_activation: "softmax", or None for logits.
        include_preprocessing: whether the model takes RGB pixels, 0..255, and normalises them itself, as the weights'
            file says they were trained; with ImageNet's mean and std if it does not say.
        dropout_rate: before the classifier; default: the spec's (0.2, 0.3 or 0.4 for the named networks).
        bn_epsilon: of batch normalisation.
        width, depth, resolution: scaling of the spec, see `arch.scale`; factors below 1 are allowed.
        keras: the module keras (3) or tf_keras.
        name: of the model; default: the spec's, with the scaling if there is one: "scarlet_a_width0.5".

    Returns:
        A functional model from float32 images (B, H, W, C), normalised as in training, to (B, classes); without the
        top, to (B, ceil(H/32), ceil(W/32), tail_channels), or with pooling to (B, tail_channels).

    Raises:
        ValueError: for an unknown name (with the nearest), a bad spec or genome, arguments that keras.applications
            refuses too, or weights that cannot be read (ModelFileError) or do not fit (WeightsMismatchError).

    Example:
        >>> model = create_model("scarlet_a", classes=10, input_shape=(160, 160, 3))
        >>> backbone = create_model("scarlet_c", include_top=False, pooling="avg")
    """
    check_keras(keras)
    unscaled = resolve_spec(model)
    spec = scale(unscaled, width=width, depth=depth, resolution=resolution, dropout=dropout_rate)
    if classes is not None:
        spec = dataclasses.replace(spec, classes=classes)
    if input_tensor is not None:
        input_tensor, shape = _keras_tensor(input_tensor, input_shape, keras=keras)
    else:
        shape = resolve_input_shape(spec, input_shape, include_top=include_top, weights=weights)
    check_arguments(
        spec,
        include_top=include_top,
        weights=weights,
        pooling=pooling,
        classifier_activation=classifier_activation,
        include_preprocessing=include_preprocessing,
        channels=shape[-1],
        keras=keras,
    )
    path = imagenet_weights(unscaled.name) if weights == IMAGENET else weights
    mean_and_std = None
    if include_preprocessing:
        said = None if path is None else read_preprocessing(check_weights_file(path))
        mean_and_std = ((said or ASSUMED_PREPROCESSING).mean, (said or ASSUMED_PREPROCESSING).std)
    built = build(
        spec,
        keras=keras,
        include_top=include_top,
        input_shape=shape,
        input_tensor=input_tensor,
        pooling=pooling,
        classifier_activation=classifier_activation,
        mean_and_std=mean_and_std,
        bn=BatchNorm(epsilon=bn_epsilon),
        name=name,
    )
    if weights is not None:
        own = built if input_tensor is None else keras.Model(input_tensor, built.output)  # without the layers before it
        set_weights(own, read_weights(spec, path, include_top=include_top, channels=shape[-1]))
    return built


def _keras_tensor(tensor, input_shape, *, keras):
    """Return a Keras tensor and its shape without the batch; other tensors become inputs, as in keras.applications."""
    if not keras.backend.is_keras_tensor(tensor):
        tensor = keras.Input(tensor=tensor, shape=input_shape)
    if len(tensor.shape) != 4 or tensor.shape[-1] is None:
        raise ValueError(f"`input_tensor` should be (batch, height, width, channels). Received shape {tensor.shape}")
    return tensor, tuple(tensor.shape)[1:]


def _named(model: str):
    """Return a function that creates one named network, with `create_model`'s options."""
    spec = get_spec(model)

    def create(**options):
        for name in options:
            check_known(f"argument of {model}", name, create.__signature__.parameters, error=TypeError)
        return create_model(model, **options)

    create.__name__ = create.__qualname__ = model
    create.__doc__ = f"{model.upper().replace('_', '-')} of the paper's Tables 3 and 4. Arguments: see `create_model`."
    own = {"classes": spec.classes, "dropout_rate": spec.dropout, "name": model}
    parameters = [
        parameter.replace(default=own.get(parameter.name, parameter.default))
        for parameter in inspect.signature(create_model).parameters.values()
        if parameter.name != "model"
    ]
    create.__signature__ = inspect.Signature(parameters)
    return create


scarlet_a = _named("scarlet_a")
scarlet_b = _named("scarlet_b")
scarlet_c = _named("scarlet_c")
scarlet_a2 = _named("scarlet_a2")
scarlet_a4 = _named("scarlet_a4")
