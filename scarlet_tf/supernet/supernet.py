"""The supernet of a search space: stem, mixed layers, tail; the fair forward pass; any path as a model of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.arch import ArchSpec, SearchSpace
from scarlet_tf.backend import require_tensorflow
from scarlet_tf.models import block_name, build, set_weights
from scarlet_tf.supernet.blocks import Scales, in_order, moments, norm, norm_depthwise, norm_pointwise, pointwise
from scarlet_tf.supernet.mixed import (
    SLOT_CHOICES,
    BatchNormVariables,
    InitConfig,
    MixedLayer,
    bn_weights,
    new_variable,
    normal,
    variable_key,
)

require_tensorflow("scarlet_tf.supernet")


class _ConvBn:
    """A convolution shared by all paths, and its BN."""

    def __init__(self, shape: tuple[int, ...], channels: int, *, rng, name: str) -> None:
        self.name = name
        self.kernel = new_variable(normal(rng, shape, fan_out=shape[0] * shape[1] * channels), f"{name}_conv")
        self.bn = BatchNormVariables(1, channels, f"{name}_bn")

    def variables(self) -> list[tf.Variable]:
        return [self.kernel, *self.bn.variables()]

    def scales(self) -> Scales:
        """gamma and beta, (channels,) each."""
        gamma, beta = self.bn.scales
        return gamma[0], beta[0]

    def weights(self) -> dict[str, np.ndarray]:
        return {f"{self.name}_conv/kernel": self.kernel.numpy()} | bn_weights(self.bn, 0, f"{self.name}_bn")


class Supernet:
    """All weights of a search space (paper: Fig. 2, middle, at every layer).

    Args:
        space: the search space; its `classes` set the classifier.
        seed: of the initial weights.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, init: InitConfig | None = None) -> None:
        init = init or InitConfig()
        if space.identity != "let" and init.let != "identity":
            raise ValueError(
                f"LET initialisation {init.let!r} needs a space with LETs, got identity {space.identity!r}"
            )
        rng = np.random.default_rng(seed)
        self.space = space
        stem, first, tail = space.stem_channels, space.first_channels, space.tail_channels
        self.stem = _ConvBn((3, 3, 3, stem), stem, rng=rng, name="stem")
        self.separable_depthwise = _ConvBn((3, 3, stem, 1), stem, rng=rng, name="separable_depthwise")
        self.separable_project = _ConvBn((1, 1, stem, first), first, rng=rng, name="separable_project")
        self.layers = []
        width = first
        for index, (outputs, stride) in enumerate(zip(space.out_channels, space.strides, strict=True)):
            name = f"layer{index:02d}"
            layer = MixedLayer(width, outputs, stride=stride, identity=space.identity, init=init, rng=rng, name=name)
            self.layers.append(layer)
            width = outputs
        self.tail = _ConvBn((1, 1, width, tail), tail, rng=rng, name="tail")
        limit = space.classes**-0.5
        self.classifier = new_variable(rng.uniform(-limit, limit, (tail, space.classes)), "classifier/kernel")
        self.classifier_bias = new_variable(np.zeros(space.classes), "classifier/bias")

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables, in a fixed order; their names are unique."""
        layers = [variable for layer in self.layers for variable in layer.variables()]
        return [*self._stem_variables(), *layers, *self._tail_variables()]

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        return [variable for variable in self.variables if variable.trainable]

    @property
    def shared_variables(self) -> list[tf.Variable]:
        """Trainable variables of stem, tail and classifier, which every path uses."""
        return [v for v in [*self._stem_variables(), *self._tail_variables()] if v.trainable]

    def _stem_variables(self) -> list[tf.Variable]:
        parts = (self.stem, self.separable_depthwise, self.separable_project)
        return [variable for part in parts for variable in part.variables()]

    def _tail_variables(self) -> list[tf.Variable]:
        return [*self.tail.variables(), self.classifier, self.classifier_bias]

    def fair_logits(self, images: tf.Tensor, routes: tf.Tensor, *, recompute: bool = False) -> tf.Tensor:
        """Logits of the 13 paths (12 without an identity) of a fair step, every choice of every layer used once.

        BN uses the statistics of the batch, of each path on its own, and the moving ones follow.

        Args:
            images: (B, H, W, 3); float32, or of 16 bits, as all feature maps then are.
            routes: (num_layers, 13) int32 from `sampler.routes`.
            recompute: keep only the inputs of blocks for the backward pass, and run each block's forward pass again
                there: less memory, more time, the same result.

        Returns:
            (13, B, classes) float32. Row r belongs to the path that holds choice SLOT_CHOICES[r] of the last layer.
        """
        slot_routes = _routes_between_slots(routes)
        maps = [self._stem(images)] * self.space.num_choices
        for index, layer in enumerate(self.layers):
            if index:
                maps = tf.unstack(_permute(tf.stack(maps), slot_routes[index]))
            maps = layer(maps, recompute=recompute)
        return self._tail(maps) @ self.classifier + self.classifier_bias

    def _stem(self, images: tf.Tensor) -> tf.Tensor:
        """(B, H, W, 3) -> (B, H', W', first_channels); the same for all paths, so computed once."""
        padded = tf.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        z = tf.nn.conv2d(padded, tf.cast(self.stem.kernel, images.dtype), self.space.stem_stride, "VALID")
        first = moments(z)
        kernel = tf.convert_to_tensor(self.separable_depthwise.kernel)
        z = norm_depthwise(z, first, *self.stem.scales(), kernel, stride=1, activation="relu6")
        second = moments(z)
        scales = self.separable_depthwise.scales()
        z = norm_pointwise(z, second, *scales, (), self.separable_project.kernel[0, 0], activation="relu6")
        third = moments(z)
        self.stem.bn.follow([first])
        self.separable_depthwise.bn.follow([second])
        self.separable_project.bn.follow([third])
        return norm(z, third, *self.separable_project.scales(), activation="linear")

    def _tail(self, maps: list[tf.Tensor]) -> tf.Tensor:
        """13 maps (B, H, W, C) -> the classifier's input, (13, B, tail_channels) float32."""
        kernel, scales = self.tail.kernel[0, 0], self.tail.scales()
        outputs, statistics = [], []
        for x in maps:
            if outputs:
                outputs[-1], x = in_order(outputs[-1], x)
            z = pointwise(x, kernel)
            statistics.append(moments(z))
            y = norm(z, statistics[-1], *scales, activation="relu6")
            outputs.append(tf.reduce_mean(tf.cast(y, tf.float32), axis=(1, 2)))
        self.tail.bn.follow(statistics)
        return tf.stack(outputs)

    def path_weights(self, genome: Sequence[int]) -> dict[str, np.ndarray]:
        """The weights of one path, named as `get_weights(build(space.spec(genome, let=True)))` names them."""
        genome = self.space.check(genome)
        weights = self.stem_weights()
        for index, (layer, choice) in enumerate(zip(self.layers, genome, strict=True)):
            prefix = block_name(index)
            weights |= {f"{prefix}_{name}": value for name, value in layer.choice_weights(choice).items()}
        return weights | self.tail_weights()

    def stem_weights(self) -> dict[str, np.ndarray]:
        """Weights of everything before the first layer, as the stand-alone model names them."""
        return self.stem.weights() | self.separable_depthwise.weights() | self.separable_project.weights()

    def tail_weights(self) -> dict[str, np.ndarray]:
        """Weights of everything after the last layer."""
        classifier = {"classifier/kernel": self.classifier.numpy(), "classifier/bias": self.classifier_bias.numpy()}
        return self.tail.weights() | classifier

    def path_spec(self, genome: Sequence[int]) -> ArchSpec:
        """The spec of one path: its LETs kept."""
        return self.space.spec(genome, let=True)

    def extract(self, genome: Sequence[int]):
        """The path as a stand-alone `keras.Model` that gives logits, equal to the path's (moving statistics)."""
        model = build(self.path_spec(genome), classifier_activation=None)
        set_weights(model, self.path_weights(genome))
        return model

    def state(self) -> dict[str, np.ndarray]:
        """Every variable by name, for a checkpoint."""
        return {variable_key(variable): variable.numpy() for variable in self.variables}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assigns every variable; ValueError where one is missing or has another shape."""
        for variable in self.variables:
            name = variable_key(variable)
            value = arrays.get(name)
            if value is None or value.shape != tuple(variable.shape):
                shape = None if value is None else value.shape
                raise ValueError(f"supernet weight {name} must have shape {variable.shape}, got {shape}")
        for variable in self.variables:
            variable.assign(arrays[variable_key(variable)])


def _routes_between_slots(routes: tf.Tensor) -> tf.Tensor:
    """Routes between choices -> routes between slots."""
    choices = SLOT_CHOICES[: routes.shape[1]]  # the identity is last: a space may lack it
    slots = tf.constant(np.argsort(choices), tf.int32)
    return tf.gather(slots, tf.gather(routes, tf.constant(choices), axis=1))


@tf.custom_gradient
def _permute(x: tf.Tensor, order: tf.Tensor):
    """x[order] for a permutation; the gradient is a gather too, not a scatter."""

    def gradient(dy):
        return tf.gather(dy, tf.argsort(order)), None

    return tf.gather(x, order), gradient
