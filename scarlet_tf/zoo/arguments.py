"""Checks of the arguments shared with keras.applications, with its errors: a ValueError names the value."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Iterable
from types import ModuleType

from scarlet_tf.arch import ArchSpec
from scarlet_tf.models import POOLINGS
from scarlet_tf.zoo.labels import IMAGENET_CLASSES
from scarlet_tf.zoo.weights import IMAGENET

_SMALLEST_SIDE = 32  # as in keras.applications, for networks that downsample five times


def check_keras(keras) -> None:
    """Raise ValueError for anything but the module keras (3) or tf_keras."""
    if not isinstance(keras, ModuleType) or not hasattr(keras, "Model"):
        raise ValueError(f"`keras` should be the module keras or tf_keras. Received keras={keras!r}")


def check_arguments(
    spec: ArchSpec,
    *,
    include_top: bool,
    weights,
    pooling: str | None,
    classifier_activation: str | None,
    include_preprocessing: bool,
    channels: int,
    keras,
) -> None:
    """Raise ValueError for invalid arguments; `channels` are the input's."""
    if keras.backend.image_data_format() != "channels_last":
        raise ValueError("these models are for image_data_format 'channels_last', got 'channels_first'")
    if weights == IMAGENET and include_top and spec.classes != IMAGENET_CLASSES:
        raise ValueError(
            f'If using `weights="imagenet"` with `include_top=True`, `classes` should be {IMAGENET_CLASSES}. '
            f"Received classes={spec.classes}"
        )
    if pooling is not None and pooling not in POOLINGS:
        raise ValueError(f"`pooling` should be None, 'avg' or 'max'. Received pooling={pooling!r}")
    allowed = [keras.activations.get(activation) for activation in (None, "softmax")]
    if weights is not None and include_top and keras.activations.get(classifier_activation) not in allowed:
        raise ValueError(
            "Only None and 'softmax' are allowed for `classifier_activation` with pretrained weights and "
            f"`include_top=True`. Received classifier_activation={classifier_activation!r}"
        )
    if include_preprocessing and channels != 3:
        raise ValueError(f"`include_preprocessing` is for RGB images. Received {channels} input channels")


def resolve_input_shape(
    spec: ArchSpec, input_shape: Iterable[int | None] | None, *, include_top: bool, weights
) -> tuple[int | None, int | None, int]:
    """Return (height, width, channels) to build with; height and width may be None without the top.

    Args:
        input_shape: a tuple, or an equivalent such as the TensorShape of an image.

    Raises:
        ValueError: for anything but three numbers, a side below 32 pixels (or below the network's own, if smaller),
            unknown sides with the top, or a shape that the ImageNet weights do not fit.
    """
    default = spec.input_shape
    if input_shape is None:
        return default if include_top else (None, None, spec.input_channels)
    received = f"Received input_shape={input_shape!r}"
    shape = tuple(input_shape) if isinstance(input_shape, Iterable) else ()
    known = [number for number in shape if number is not None]
    are_integers = all(isinstance(number, numbers.Integral) and number > 0 for number in known)
    if len(shape) != 3 or shape[2] is None or not are_integers:
        raise ValueError(f"`input_shape` must be a tuple of three integers. {received}")
    shape = tuple(None if number is None else int(number) for number in shape)
    *sides, channels = shape
    known = [side for side in sides if side is not None]
    if weights != IMAGENET and channels not in (1, 3):
        warnings.warn(f"This model usually expects 1 or 3 input channels. {received}", stacklevel=3)
    if weights == IMAGENET and include_top and shape != default:
        raise ValueError(
            "When setting `include_top=True` and loading `imagenet` weights, `input_shape` should be "
            f"{default}. {received}"
        )
    if weights == IMAGENET and channels != 3:
        raise ValueError(f"The input must have 3 channels. {received}")
    smallest = min(_SMALLEST_SIDE, *spec.input_shape[:2])
    if any(side < smallest for side in known):
        raise ValueError(f"Input size must be at least {smallest}x{smallest}. {received}")
    if include_top and len(known) < 2:
        raise ValueError(f"If `include_top` is True, you should specify a static `input_shape`. {received}")
    return shape
