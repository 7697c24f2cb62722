"""kernels_by_device.py KIND OUTPUT.npz: the kernels for one kind of device, with gradients, on seeded inputs."""

import sys

import numpy as np
import tensorflow as tf

from scarlet_tf.kernels.depthwise import depthwise
from scarlet_tf.kernels.device import device_kind, set_device_kind
from scarlet_tf.kernels.norm import batch_norm

CASES = [(size, stride) for size in (3, 5, 7) for stride in (1, 2)]


def inputs(size: int) -> list[np.ndarray]:
    """Return x, gamma, beta, kernel and the weights of the loss."""
    rng = np.random.default_rng(size)
    x = rng.standard_normal((4, 8, 8, 6))
    kernel = rng.standard_normal((size, size, 6, 1)) / size
    return [x, rng.uniform(0.5, 2.0, 6), rng.standard_normal(6), kernel, rng.standard_normal((4, 8, 8, 6))]


def run(size: int, stride: int):
    """Return BN, h-swish and the depthwise convolution, and the gradients of x, gamma, beta and kernel."""
    *arguments, weight = (tf.constant(value, tf.float32) for value in inputs(size))
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        x, gamma, beta, kernel = arguments
        y, _ = batch_norm(x, gamma, beta, activation="h_swish", epsilon=1e-5)
        z = depthwise(y, kernel, stride=stride)
        loss = tf.reduce_sum(z * weight[:, : z.shape[1], : z.shape[2]])
    return [z, *tape.gradient(loss, arguments)]


def main(kind: str, output: str) -> None:
    set_device_kind(kind)
    arrays = {}
    for size, stride in CASES:
        step = tf.function(run, autograph=False).get_concrete_function(size, stride)
        arrays[f"{size} {stride} ops"] = np.array(sorted({node.op for node in step.graph.as_graph_def().node}))
        for name, value in zip(("z", "x", "gamma", "beta", "kernel"), step(), strict=True):
            arrays[f"{size} {stride} {name}"] = value.numpy()
    try:
        set_device_kind({"cpu": "accelerator", "accelerator": "cpu"}[device_kind()])
    except RuntimeError as error:
        arrays["refusal"] = np.array(str(error))
    np.savez(output, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
