"""Keras models of specs, their weights by name, their feature maps by stride."""

from scarlet_tf.models.builder import POOLINGS, block_name, build
from scarlet_tf.models.features import feature_extractor
from scarlet_tf.models.weights import (
    WeightsMismatchError,
    get_weights,
    measure_batch_norms,
    named_variables,
    set_weights,
)

__all__ = [
    "POOLINGS",
    "WeightsMismatchError",
    "block_name",
    "build",
    "feature_extractor",
    "get_weights",
    "measure_batch_norms",
    "named_variables",
    "set_weights",
]
