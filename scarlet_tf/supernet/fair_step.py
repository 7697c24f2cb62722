"""The training step with strict fairness: every choice is trained in one update (paper: "Training Strategy")."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from scarlet_tf.choices import check_known
from scarlet_tf.kernels.device import device_kind
from scarlet_tf.supernet.optimizer import MomentumSgd
from scarlet_tf.supernet.sampler import num_paths
from scarlet_tf.supernet.supernet import Supernet
from scarlet_tf.supernet.supernet_config import PRECISIONS, SHARED_GRADIENTS


def without_graph_rewrites(function: Callable) -> Callable:
    """Disable TensorFlow's graph optimizer for a function on a CPU; on an accelerator, return the function itself.

    It does not speed up a fair step, a graph of tens of thousands of nodes, but took 20 of the 28 seconds between
    tracing and the first run (19 layers, one core). On a GPU its layout pass may be worth the time.
    """
    if device_kind() == "accelerator":
        return function

    @functools.wraps(function)
    def call(*args):
        before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        try:
            return function(*args)
        finally:
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})

    return call


def make_fair_step(
    supernet: Supernet,
    optimizer: MomentumSgd,
    strategy: tf.distribute.Strategy,
    *,
    shared_gradient: str,
    normalise: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    precision: str = "float32",
    recompute: bool = False,
    jit_compile: bool = False,
):
    """Return the compiled training step (paper: "Training Strategy"; FairNAS, strict fairness).

    Args:
        supernet: the supernet to train.
        optimizer: of the supernet's trainable variables.
        strategy: the strategy in whose scope both were created.
        shared_gradient: how the paths' gradients are combined for stem, tail and classifier, "sum" or "mean". The
            weights of a choice get the gradient of the one path that uses it.
        normalise: maps the images of a step to the supernet's input, such as `ImageData.normalise`; default: they are
            normalised already.
        precision: "float32", "mixed_bfloat16", or "mixed_float16", which needs an optimizer with a loss scale. It sets
            the dtype of feature maps and products; weights, statistics, gradients and the loss stay float32.
        recompute: see `Supernet.fair_logits`.
        jit_compile: compile the whole step as one XLA program; always so on TPUs.

    Returns:
        step(images, labels, routes, learning_rate) -> {"loss", "accuracy"}: means over the paths and the global
        batch, before the update. Images and labels are a replica's batch, or PerReplica values.
    """
    check_known("shared_gradient", shared_gradient, SHARED_GRADIENTS)
    check_known("precision", precision, PRECISIONS)
    dtype = precision.removeprefix("mixed_")
    variables = supernet.trainable_variables
    shared = {variable.ref() for variable in supernet.shared_variables}
    paths = num_paths(supernet.space.num_choices)
    replicas = strategy.num_replicas_in_sync

    def replica_step(images, labels, routes, learning_rate):
        with tf.GradientTape() as tape:
            logits = supernet.fair_logits(tf.cast(normalise(images), dtype), routes, recompute=recompute)
            targets = tf.broadcast_to(labels, tf.shape(logits)[:2])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            # Divided by the number of replicas because the optimizer sums their gradients.
            loss = tf.reduce_sum(tf.reduce_mean(losses, axis=1)) / replicas
            if optimizer.loss_scale:
                loss *= optimizer.loss_scale.scale
        gradients = tape.gradient(loss, variables)
        if shared_gradient == "mean":
            gradients = [g / paths if v.ref() in shared else g for v, g in zip(variables, gradients, strict=True)]
        optimizer.apply(gradients, learning_rate)
        correct = tf.equal(tf.argmax(logits, axis=-1, output_type=targets.dtype), targets)
        return tf.reduce_mean(losses), tf.reduce_mean(tf.cast(correct, tf.float32))

    @without_graph_rewrites
    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(images, labels, routes, learning_rate):
        loss, accuracy = strategy.run(replica_step, (images, labels, routes, learning_rate))
        mean = tf.distribute.ReduceOp.MEAN
        return {
            "loss": strategy.reduce(mean, loss, axis=None),
            "accuracy": strategy.reduce(mean, accuracy, axis=None),
        }

    return step
