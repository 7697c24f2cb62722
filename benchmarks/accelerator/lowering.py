"""Lower a fair step to one XLA program."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable

import tensorflow as tf

from benchmarks.machine import peak_resident_bytes
from scarlet_tf.arch import SearchSpace
from scarlet_tf.files import write_atomically
from scarlet_tf.kernels.device import device_kind
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import Supernet
from scarlet_tf.supernet.fair_step import make_fair_step
from scarlet_tf.supernet.optimizer import LossScale, MomentumSgd
from scarlet_tf.supernet.sampler import fair_paths, routes


def make_step(space: SearchSpace, *, batch: int, **how) -> tuple[Callable, tuple]:
    """Return a compiled fair step and arguments for it; it has no weight decay, and sums gradients of shared weights.

    Args:
        how: precision and recompute of `make_fair_step`.
    """
    strategy = make_strategy("one_device")
    with strategy.scope():
        supernet = Supernet(space)
        scale = LossScale() if how["precision"] == "mixed_float16" else None
        optimizer = MomentumSgd(supernet.trainable_variables, momentum=0.9, weight_decay=0.0, loss_scale=scale)
    step = make_fair_step(supernet, optimizer, strategy, shared_gradient="sum", jit_compile=True, **how)
    paths = fair_paths(0, 0, num_choices=space.num_choices)
    fair_routes = tuple(map(tf.constant, routes(paths, num_choices=space.num_choices)))
    images = tf.zeros((batch, space.resolution, space.resolution, 3))
    compiled = step if device_kind() == "accelerator" else step.__wrapped__
    return compiled, (images, tf.zeros((batch,), tf.int32), fair_routes, tf.constant(0.01))


def write_program(
    space: SearchSpace, path: str | os.PathLike, *, batch: int, precision: str, recompute: bool
) -> dict[str, float]:
    """Write the program of a fair step, gzipped, and return what it took.

    Its arguments are images (B, H, W, 3) float32, labels (B,) int32, the routes, the learning rate, then the variables;
    its results are accuracy and loss, then the variables' new values.

    Returns:
        trace_s and lower_s in seconds, peak_rss_gb of this process so far, and program_mb before compression.
    """
    step, arguments = make_step(space, batch=batch, precision=precision, recompute=recompute)
    start = time.perf_counter()
    step.get_concrete_function(*arguments)
    traced = time.perf_counter()
    program = step.experimental_get_compiler_ir(*arguments)(stage="hlo_serialized")
    lowered = time.perf_counter()
    write_atomically(path, gzip.compress(program, compresslevel=6))
    return {
        "trace_s": round(traced - start, 1),
        "lower_s": round(lowered - traced, 1),
        "peak_rss_gb": round(peak_resident_bytes() / 2**30, 2),
        "program_mb": round(len(program) / 1e6, 1),
    }
