"""Weight clustering: the weights of a kernel share a few values, which are fine-tuned with the rest.

The TFLite converter multiplies a batch normalisation's factor, one per channel, into the kernel before it, after which
shared values would no longer be shared. So that factor is folded into the kernel first; the rest of the batch
normalisation adds a bias, and is trained as one. Kernels of convolutions and dense layers are clustered. Depthwise
kernels are not (tfmot leaves them out because accuracy would suffer; they are 3 % of SCARLET-A's weights), and keep
their batch normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from scarlet_tf.compression.toolkit import tfmot
from scarlet_tf.compression.twin import clone_with, has_dense_kernel
from scarlet_tf.models import get_weights

_clustering = tfmot.clustering.keras
# From tfmot's GradientAggregation, which it does not export. The default sums over a value's weights, and throws values
# far off in one step of SGD: kernels ended up using as few as 3 of 16 values.
_MEAN_GRADIENT = "GradientAggregation.AVG"


def absorb_norms(weights: Mapping[str, np.ndarray], *, epsilon: float) -> dict[str, np.ndarray]:
    """Return equivalent weights for inference, with factor 1 in every batch normalisation after a plain convolution.

    Args:
        weights: as `models.get_weights` names them; those of depthwise convolutions and their batch normalisations are
            not changed.
        epsilon: of the batch normalisations.
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
    """A twin whose kernels look their weights up in a few values, by tfmot's ClusterWeights.

    Args:
        twin: a model of `make_twin` with weights from `absorb_norms`.
        clusters: number of values in a kernel.

    Attributes:
        model: the tf_keras model to train.
        variables: the variables that training changes.
        state: all variables.
    """

    def __init__(self, twin, *, clusters: int) -> None:
        absorbed = [layer.name.removesuffix("_conv") + "_bn" for layer in twin.layers if _is_plain_convolution(layer)]
        biases = []
        for name in absorbed:
            norm = twin.get_layer(name)
            norm.trainable = False  # it uses its moving statistics, and its factor stays 1
            biases.append(norm.beta)

        def wrap(layer):
            # A kernel with no more weights than clusters has few enough values already.
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
        self.state = self.model.variables  # read now: a clustered layer's list changes when it is called

    def stripped(self):
        """Return the plain tf_keras model, with the shared values written into the kernels."""
        return _clustering.strip_clustering(self.model)

    def weights(self) -> dict[str, np.ndarray]:
        """Return the weights by the network's own names."""
        return get_weights(self.stripped())

    def record(self, weights: Mapping[str, np.ndarray]) -> dict:
        """Return the number of different values in every kernel of `weights`."""
        return {"values_by_kernel": {name: len(np.unique(weights[name])) for name in self._kernels}}


def _is_plain_convolution(layer) -> bool:
    return has_dense_kernel(layer) and layer.name.endswith("_conv")
