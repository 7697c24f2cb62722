"""The bootstrap of `intervals`."""

from scarlet_tf.intervals import Estimate, bootstrap

__all__ = ["Estimate", "bootstrap"]
