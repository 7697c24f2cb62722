"""Time fair steps, sgemm and copies."""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from benchmarks.machine import peak_resident_bytes
from scarlet_tf.arch import SearchSpace
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import Supernet
from scarlet_tf.supernet.fair_step import make_fair_step
from scarlet_tf.supernet.optimizer import LossScale, MomentumSgd
from scarlet_tf.supernet.sampler import fair_paths, routes
from scarlet_tf.supernet.supernet_config import share_out_threads


def limit_threads(threads: int) -> None:
    """Share out the threads as train_supernet.py does with cores; call this before TensorFlow's first operation."""
    for name, value in share_out_threads(threads).items():
        getattr(tf.config.threading, f"set_{name}_op_parallelism_threads")(value)


def run_eagerly(eager: bool) -> None:
    """Set whether functions run operation by operation, without being traced."""
    tf.config.run_functions_eagerly(eager)


def time_steps(space: SearchSpace, *, batch: int, steps: int, precision: str, **how: bool) -> dict[str, float]:
    """Time `steps` fair steps after a first one; `precision` and `how` are passed to `make_fair_step`.

    A step is compared with a plain loop of 13 backward passes and one SGD update. To do the same work, it sums the
    gradients of shared weights, as such a loop does, and applies no weight decay.
    """
    strategy = make_strategy("one_device")
    with strategy.scope():
        supernet = Supernet(space)
        scale = LossScale() if precision == "mixed_float16" else None
        optimizer = MomentumSgd(supernet.trainable_variables, momentum=0.9, weight_decay=0.0, loss_scale=scale)
    step = make_fair_step(supernet, optimizer, strategy, shared_gradient="sum", precision=precision, **how)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.standard_normal((batch, space.resolution, space.resolution, 3)).astype(np.float32))
    labels = tf.constant(rng.integers(0, space.classes, batch), tf.int32)
    seconds, first = [], 0.0
    for number in range(steps + 1):
        start = time.perf_counter()
        paths = fair_paths(0, number, num_choices=space.num_choices)
        fair_routes = tuple(map(tf.constant, routes(paths, num_choices=space.num_choices)))
        float(step(images, labels, fair_routes, tf.constant(0.01))["loss"])
        seconds.append(time.perf_counter() - start)
        first = first or seconds_since_start()
    return {
        "step_s": round(statistics.median(seconds[1:]), 3),
        "first_step_s": round(first, 1),
        "peak_rss_gb": round(peak_resident_bytes() / 2**30, 2),
        "params_m": round(sum(int(np.prod(v.shape)) for v in supernet.trainable_variables) / 1e6, 3),
    }


def seconds_since_start() -> float:
    """Return the seconds since this process started (Linux)."""
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _best_rate(work: float, tasks: Sequence[Callable[[], object]], *, repeats: int = 7) -> float:
    """Return how much work tasks in threads of their own do in a second, `work` each; the best of some repeats."""
    times = []
    with ThreadPoolExecutor(len(tasks)) as pool:
        for _ in range(repeats + 1):  # the first does not count
            start = time.perf_counter()
            list(pool.map(lambda task: task(), tasks))
            times.append(time.perf_counter() - start)
    return work * len(tasks) / min(times[1:])


def measure_rates(threads: int) -> tuple[float, float]:
    """Return this machine's rates of sgemm and copies, with this number of threads at once.

    The first is float32 multiply-adds per second of TensorFlow in 1024 x 1024 products. The second is bytes read and
    written per second in copies of 64 MB, which exceed the caches.
    """
    own = tf.config.threading.get_intra_op_parallelism_threads()  # of one product
    matrices = [tf.random.normal((1024, 1024)) for _ in range(max(1, threads // max(1, own)))]
    large = [(np.ones(16 * 2**20, np.float32), np.ones(16 * 2**20, np.float32)) for _ in range(threads)]
    products = [functools.partial(_product, matrix) for matrix in matrices]
    copies = [functools.partial(np.copyto, target, source) for target, source in large]
    return _best_rate(1024**3, products), _best_rate(2 * large[0][0].nbytes, copies)


def _product(matrix: tf.Tensor) -> np.ndarray:
    return tf.matmul(matrix, matrix).numpy()
