"""ArchSpec -> keras.Model, and a model's weights by name."""

from scarlet_tf.models.builder import block_name, build
from scarlet_tf.models.weights import WeightsMismatchError, get_weights, set_weights

__all__ = ["WeightsMismatchError", "block_name", "build", "get_weights", "set_weights"]
