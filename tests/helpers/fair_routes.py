"""The routes of a fair step as it takes them."""

import tensorflow as tf

from scarlet_tf.supernet.sampler import routes


def constant_routes(space, paths):
    """Return the routes of (paths, num_layers) genomes as tensors."""
    return tuple(map(tf.constant, routes(paths, num_choices=space.num_choices)))
