"""The supernet of a search space: its weights, the forward pass of a fair step, and paths as stand-alone models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.arch import ArchSpec, SearchSpace
from scarlet_tf.backend import check_tensorflow
from scarlet_tf.models import block_name, build, set_weights
from scarlet_tf.runs.background import snapshot
from scarlet_tf.supernet.blocks import BatchStatistics, in_order, stem_forward, tail_forward
from scarlet_tf.supernet.mixed import (
    BatchNormVariables,
    InitConfig,
    MixedLayer,
    bn_weights,
    new_variable,
    normal,
    variable_key,
)
from scarlet_tf.supernet.sampler import runs_of_choices

check_tensorflow("scarlet_tf.supernet")


class _ConvBn:
    """A convolution with BN that all paths share."""

    def __init__(self, shape: tuple[int, ...], channels: int, *, rng, name: str) -> None:
        self.name = name
        self.kernel = new_variable(normal(rng, shape, fan_out=shape[0] * shape[1] * channels), f"{name}_conv")
        self.bn = BatchNormVariables(1, channels, f"{name}_bn")

    def variables(self) -> list[tf.Variable]:
        return [self.kernel, *self.bn.variables()]

    def tensors(self) -> dict[str, tf.Tensor]:
        """Return kernel, gamma and beta by their names in the stand-alone model; a 1x1 kernel has two axes."""
        kernel = tf.convert_to_tensor(self.kernel)
        one_by_one = kernel.shape[:2] == (1, 1)
        return {f"{self.name}_conv/kernel": kernel[0, 0] if one_by_one else kernel} | self.bn.by_slot(
            f"{self.name}_bn"
        )[0]

    def weights(self) -> dict[str, np.ndarray]:
        return {f"{self.name}_conv/kernel": self.kernel.numpy()} | bn_weights(self.bn, 0, f"{self.name}_bn")


class Supernet:
    """The supernet of a search space: the weights of all choices (paper: Fig. 2, middle, at every layer).

    Args:
        space: the search space; its `classes` is the number of logits.
        seed: of the initial weights.
        init: initialisation of LETs and last BNs.

    Raises:
        ValueError: if `init` has a LET initialisation other than "identity" and the space has no LETs.

    Example:
        >>> supernet = Supernet(get_space("small", classes=10))
        >>> supernet.extract((12, 1, 12, 6, 3, 8)).output_shape
        (None, 10)
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, init: InitConfig | None = None) -> None:
        init = init or InitConfig()
        lets = any(choice.kind == "let" for options in space.choices for choice in options)
        if not lets and init.let != "identity":
            raise ValueError(f"LET initialisation {init.let!r} needs a space with LETs: {space.name!r} has none")
        rng = np.random.default_rng(seed)
        self.space = space
        stem, first, tail = space.stem_channels, space.first_channels, space.tail_channels
        self.stem = _ConvBn((3, 3, 3, stem), stem, rng=rng, name="stem")
        self.separable_depthwise = _ConvBn((3, 3, stem, 1), stem, rng=rng, name="separable_depthwise")
        self.separable_project = _ConvBn((1, 1, stem, first), first, rng=rng, name="separable_project")
        self.layers = []
        width = first
        layers = zip(
            space.layer_choices, space.out_channels, space.strides, runs_of_choices(space.num_choices), strict=True
        )
        for index, (choices, outputs, stride, runs) in enumerate(layers):
            how = {"stride": stride, "runs": runs, "init": init, "rng": rng, "name": f"layer{index:02d}"}
            self.layers.append(MixedLayer(choices, width, outputs, **how))
            width = outputs
        self.tail = _ConvBn((1, 1, width, tail), tail, rng=rng, name="tail")
        limit = space.classes**-0.5
        self.classifier = new_variable(rng.uniform(-limit, limit, (tail, space.classes)), "classifier/kernel")
        self.classifier_bias = new_variable(np.zeros(space.classes), "classifier/bias")

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables, in a fixed order and with unique names."""
        layers = [variable for layer in self.layers for variable in layer.variables()]
        return [*self._stem_variables(), *layers, *self._tail_variables()]

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        return [variable for variable in self.variables if variable.trainable]

    @property
    def shared_variables(self) -> list[tf.Variable]:
        """Trainable variables that every path uses: those of stem, tail and classifier."""
        return [v for v in [*self._stem_variables(), *self._tail_variables()] if v.trainable]

    def _stem_variables(self) -> list[tf.Variable]:
        parts = (self.stem, self.separable_depthwise, self.separable_project)
        return [variable for part in parts for variable in part.variables()]

    def _tail_variables(self) -> list[tf.Variable]:
        return [*self.tail.variables(), self.classifier, self.classifier_bias]

    def fair_logits(self, images: tf.Tensor, routes: Sequence[tf.Tensor], *, recompute: bool = False) -> tf.Tensor:
        """Return the logits of the paths of a fair step, which use every choice of every layer.

        BN uses the batch statistics of each path, and updates the moving statistics.

        Args:
            images: (B, H, W, 3), float32 or a 16-bit dtype, which all feature maps then have too.
            routes: from `sampler.routes`.
            recompute: keep only the inputs of the blocks for the backward pass, which repeats their forward passes.
                Takes less memory and more time; the result is the same.

        Returns:
            (paths, B, classes) float32.
        """
        *layer_routes, ends = routes
        maps = [self._stem(images)] * len(self.layers[0].runs_of_slots)
        before = None
        for route, layer in zip(layer_routes, self.layers, strict=True):
            if before is not None:
                order = before.by_slot(tf.gather(route, layer.runs_of_slots))
                every_run_once = len(before.runs_of_slots) == len(layer.runs_of_slots) == ends.shape[0]
                pick = _permute if every_run_once else tf.gather
                maps = tf.unstack(pick(tf.stack(maps), order))
            maps = layer(maps, recompute=recompute)
            before = layer
        logits = self._tail(maps) @ self.classifier + self.classifier_bias
        return tf.gather(logits, before.by_slot(ends))

    def _stem(self, images: tf.Tensor) -> tf.Tensor:
        """Run the stem, once for all paths: (B, H, W, 3) -> (B, H', W', first_channels)."""
        parts = (self.stem, self.separable_depthwise, self.separable_project)
        weights = {name: value for part in parts for name, value in part.tensors().items()}
        norm = BatchStatistics(weights)
        x = stem_forward(images, weights, norm, stride=self.space.stem_stride)
        for part in parts:
            part.bn.follow([norm.moments[f"{part.name}_bn"]])
        return x

    def _tail(self, maps: list[tf.Tensor]) -> tf.Tensor:
        """Run the tail on each feature map (B, H, W, C); return (maps, B, tail_channels) float32."""
        weights = self.tail.tensors()
        outputs, moments = [], []
        for x in maps:
            if outputs:
                outputs[-1], x = in_order(outputs[-1], x)
            norm = BatchStatistics(weights)
            outputs.append(tail_forward(x, weights, norm))
            moments.append(norm.moments["tail_bn"])
        self.tail.bn.follow(moments)
        return tf.stack(outputs)

    def path_weights(self, genome: Sequence[int]) -> dict[str, np.ndarray]:
        """Return the weights of a path by their names in `get_weights(build(space.spec(genome, let=True)))`."""
        genome = self.space.check(genome)
        weights = self.stem_weights()
        for index, (layer, choice) in enumerate(zip(self.layers, genome, strict=True)):
            prefix = block_name(index)
            weights |= {f"{prefix}_{name}": value for name, value in layer.choice_weights(choice).items()}
        return weights | self.tail_weights()

    def stem_weights(self) -> dict[str, np.ndarray]:
        """Return the weights before the first layer by their names in the stand-alone model."""
        return self.stem.weights() | self.separable_depthwise.weights() | self.separable_project.weights()

    def tail_weights(self) -> dict[str, np.ndarray]:
        """Return the weights after the last layer by their names in the stand-alone model."""
        classifier = {"classifier/kernel": self.classifier.numpy(), "classifier/bias": self.classifier_bias.numpy()}
        return self.tail.weights() | classifier

    def path_spec(self, genome: Sequence[int]) -> ArchSpec:
        """Return the spec of a path, with its LETs."""
        return self.space.spec(genome, let=True)

    def extract(self, genome: Sequence[int]):
        """Return a path, with its LETs, as a `keras.Model` that returns the path's logits with moving BN statistics."""
        model = build(self.path_spec(genome), classifier_activation=None)
        set_weights(model, self.path_weights(genome))
        return model

    def state(self) -> dict[str, np.ndarray]:
        """Return the values of all variables by name, for a checkpoint."""
        return {variable_key(variable): snapshot(variable) for variable in self.variables}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assign all variables from the values of `state`; raise ValueError if one is missing or has another shape."""
        for variable in self.variables:
            name = variable_key(variable)
            value = arrays.get(name)
            if value is None or value.shape != tuple(variable.shape):
                shape = None if value is None else value.shape
                raise ValueError(f"supernet weight {name} must have shape {variable.shape}, got {shape}")
        for variable in self.variables:
            variable.assign(arrays[variable_key(variable)])


@tf.custom_gradient
def _permute(x: tf.Tensor, order: tf.Tensor):
    """Return x[order] for a permutation, with a gradient that is a gather instead of a scatter."""

    def gradient(dy):
        return tf.gather(dy, tf.argsort(order)), None

    return tf.gather(x, order), gradient
