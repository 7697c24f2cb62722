"""Weight clustering: the weights of a kernel share a few values, which are fine-tuned with the rest.

The TFLite converter multiplies a batch normalisation's factor, another one for each channel, into the kernel before
it; values that were shared would not be shared any more. So that factor goes into the kernel first, and what is left
of the batch normalisation adds a bias and is trained as one. Kernels of convolutions and dense layers are clustered;
depthwise ones are not (tfmot leaves them out, for their loss of accuracy; they are 3 % of SCARLET-A's weights), and
keep their batch normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from scarlet_tf.compression.toolkit import tfmot
from scarlet_tf.compression.twin import clone_with, has_dense_kernel
from scarlet_tf.models import get_weights

_clustering = tfmot.clustering.keras
# Of tfmot's GradientAggregation, which it does not export. The default, the sum over a value's weights, throws values
# far off in one step of SGD: kernels ended with as few as 3 of 16 values in use.
_MEAN_GRADIENT = "GradientAggregation.AVG"


def absorb_norms(weights: Mapping[str, np.ndarray], *, epsilon: float) -> dict[str, np.ndarray]:
    """The same network in inference, with factor 1 in every batch normalisation after a plain convolution.

    Args:
        weights: as `models.get_weights` names them; depthwise convolutions and what follows them stay as they are.
    """
    weights = dict(weights)
    for kernel in [name for name in weights if name.endswith("_conv/kernel") and "depthwise" not in name]:
        norm = kernel.removesuffix("_conv/kernel") + "_bn"
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        gamma, beta, mean, variance = (weights[f"{norm}/{part}"].astype(np.float64) for part in parts)
        scale = gamma / np.sqrt(variance + epsilon)
        new = (np.full_like(gamma, np.sqrt(1 + epsilon)), beta - mean * scale, mean * 0, mean * 0 + 1)
        weights[kernel] = (weights[kernel] * scale).astype(np.float32)
        weights |= {f"{norm}/{part}": array.astype(np.float32) for part, array in zip(parts, new, strict=True)}
    return weights


class ClusteredModel:
    """A twin whose kernels are looked up in a few values, by tfmot's ClusterWeights.

    Args:
        twin: with weights that `absorb_norms` gave.

    Attributes:
        model: the tf_keras model to train.
        variables, state: those that training changes, and all.
    """

    def __init__(self, twin, *, clusters: int) -> None:
        absorbed = [layer.name.removesuffix("_conv") + "_bn" for layer in twin.layers if _is_plain_convolution(layer)]
        biases = []
        for name in absorbed:
            norm = twin.get_layer(name)
            norm.trainable = False  # it computes with its moving statistics, and its factor stays 1
            biases.append(norm.beta)

        def wrap(layer):
            # Fewer weights than values are few values already.
            if not has_dense_kernel(layer) or tf.size(layer.kernel) <= clusters:
                return layer
            return _clustering.cluster_weights(
                layer,
                number_of_clusters=clusters,
                cluster_centroids_init=_clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
                cluster_gradient_aggregation=_MEAN_GRADIENT,
            )

        self._kernels = [f"{layer.name}/kernel" for layer in twin.layers if has_dense_kernel(layer)]
        self.model = clone_with(twin, wrap)
        self.variables = self.model.trainable_variables + biases
        self.state = self.model.variables  # taken now: a clustered layer's own list changes as it is called

    def stripped(self):
        """The plain tf_keras model, with the values written into the kernels."""
        return _clustering.strip_clustering(self.model)

    def weights(self) -> dict[str, np.ndarray]:
        """By the network's own names."""
        return get_weights(self.stripped())

    def record(self, weights: Mapping[str, np.ndarray]) -> dict:
        """Number of values in every kernel of `weights`."""
        return {"values_by_kernel": {name: len(np.unique(weights[name])) for name in self._kernels}}


def _is_plain_convolution(layer) -> bool:
    return has_dense_kernel(layer) and layer.name.endswith("_conv")
