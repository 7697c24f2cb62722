"""A search space and a dataset small enough to train in seconds, and what a fair step computes, in float64."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from rounding import float64, rounding_limit
from spaces import THREE_LAYER_SPACE

from scarlet_tf.arch import SearchSpace
from scarlet_tf.data import DataConfig
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.supernet import Supernet


@pytest.fixture(scope="session")
def tiny_space() -> SearchSpace:
    return THREE_LAYER_SPACE


@pytest.fixture(scope="session")
def tiny_data(bright_images) -> DataConfig:
    """Three classes of 16x16 images that differ in brightness."""
    root = bright_images(side=16, classes=3, train=20, test=4)
    return DataConfig(name=f"folder:{root}", image_size=16, search_validation=12)


def randomise(supernet: Supernet, seed: int = 0) -> Supernet:
    """Give every BN and bias a value that a mistake in naming or order would show.

    ReLU6 gets inputs near 3, h-swish near 0, the gates of SE in between: a gradient jumps where rounding takes an
    activation over a kink, and no limit follows from the arithmetic there. test_norm.py has the slopes on both sides.
    """
    rng = np.random.default_rng(seed)
    for variable in supernet.variables:
        name, shape = variable.name, variable.shape
        if "gamma" in name:
            variable.assign(rng.uniform(0.3, 0.6, shape))
        elif "moving_variance" in name:
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif "/beta" in name:
            relu6 = name.startswith(("stem_bn", "separable_depthwise_bn", "tail_bn"))
            variable.assign((3.0 if relu6 else 0.0) + 0.1 * rng.standard_normal(shape))
        elif "se_reduce_bias" in name:
            variable.assign(2.0 + 0.1 * rng.standard_normal(shape))
        elif "se_expand_bias" in name or "_bn/" in name or "bias" in name or "/let" in name:
            variable.assign(0.3 * rng.standard_normal(shape))
        elif "se_expand" in name:
            variable.assign(0.25 * variable)
    return supernet


@pytest.fixture(scope="session")
def randomised():
    """The function `randomise`."""
    return randomise


@dataclasses.dataclass(frozen=True)
class ExactPath:
    """One path of a fair step as its own Keras model has it, in float64: its loss, and arrays by the model's names."""

    loss: float
    gradients: dict[str, np.ndarray]
    moving: dict[str, np.ndarray]


@pytest.fixture(scope="session")
def exact_paths():
    """Function (supernet, paths, images, labels) -> an ExactPath for each path."""

    def exact(supernet, paths, images, labels):
        return [_exact_path(supernet, path, images.astype(np.float64), labels) for path in paths]

    return exact


def _exact_path(supernet, path, images, labels):
    with float64():
        model = build(supernet.path_spec(path), classifier_activation=None)
        set_weights(model, supernet.path_weights(path))
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        moving = {name: array for name, array in get_weights(model).items() if "moving" in name}
        variables = model.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign(gradient)
        gradients = {name: array for name, array in get_weights(model).items() if name not in moving}
    assert all(array.dtype == np.float64 for array in gradients.values())
    return ExactPath(float(loss), gradients, moving)


@pytest.fixture(scope="session")
def differences():
    """Function (exact paths, paths, supernet that holds gradients) -> name -> (its gradient, the exact one).

    A block's weights come as "GENE name", with the sum over the paths that hold it; stem, tail and classifier have the
    sum of all paths' gradients.
    """

    def differences(exact, paths, holder):
        pairs = {}
        for path, one in zip(paths, exact, strict=True):
            ours = holder.path_weights(path)
            for name, gradient in one.gradients.items():
                # A block's own weights belong to the paths that take it in its layer: one, but in uneven layers.
                key = f"{path[int(name[5:7])]} {name}" if name.startswith("block") else name
                before = pairs[key][1] if key in pairs else 0.0
                pairs[key] = (ours[name], before + gradient)
        return pairs

    return differences


@pytest.fixture(scope="session")
def step_limit():
    """Function (space, images, dtype) -> how far rounding may take a fair step's gradients, of the largest one.

    In a row there are the products of stem, separable convolution, and of each layer at its largest expansion and
    kernel; as many backward; and the sum over all positions that a kernel's gradient is. Every map is stored twice each
    way, and normalised with float32 sums over all positions.
    """

    def limit(space, images, dtype="float32"):
        positions = images.shape[0] * (images.shape[1] // space.stem_stride) ** 2
        products = [27, 9, space.stem_channels]
        for inputs, options in zip((space.first_channels, *space.out_channels), space.layer_choices, strict=False):
            kernel, expansion = (max(getattr(each, of) for each in options) for of in ("kernel_size", "expansion"))
            fused = any("fused" in each.kind for each in options)
            products += [inputs * kernel**2] if fused else [inputs, kernel**2]
            products.append(expansion * inputs)
        products += [space.out_channels[-1], space.tail_channels]
        maps = 4 * len(products)
        return rounding_limit(*products * 2, positions, maps, dtype=dtype) + rounding_limit(maps * positions)

    return limit


@pytest.fixture(scope="module")
def supernet(tiny_space) -> Supernet:
    return randomise(Supernet(tiny_space, seed=1))


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((8, 16, 16, 3)).astype(np.float32)
