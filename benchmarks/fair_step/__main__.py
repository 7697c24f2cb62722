"""Time strictly fair supernet steps on random images, and print one line of JSON.

    taskset -c 1 python -m benchmarks.fair_step --width=0.5 --size=32 --batch=32 --threads=1
    python -m benchmarks.fair_step --space=scarlet --size=224 --batch=2 --steps=1

The network is a named space as it is (--space), or by default a reduced one: a 3x3 stem with 16 channels and its
separable convolution (stride 1 up to 64 px, else 2); the 19 layers of the `scarlet` space, with widths multiplied by
--width and rounded to multiples of 8, 13 choices each, and strides at layers 2, 6 and 14 (and 0 above 64 px); a 1x1
tail with 256 channels, and 10 classes.

The line of JSON holds:
    step_s: median time of a step, after the first one.
    first_step_s: time from the start of this process to the end of the first step, tracing and compilation included.
    peak_rss_gb: peak resident memory of the process.
    params_m: trainable parameters.
    madds_g, moved_gb: minimum work of a step: multiply-adds forward and backward, and bytes of feature maps read and
        written if every convolution and every normalisation reads its inputs and writes its outputs once.
    sgemm_gmadds_s, copy_gb_s, floor_s: with --rates, the sgemm and copy rates of as many threads, and the time that the
        minimum work takes at these rates.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_SPACE = flags.DEFINE_string(
    "space", None, "Named search space, used as it is; default: the reduced space that --width scales."
)
_WIDTH = flags.DEFINE_float("width", 0.5, "Width multiplier of the 19 layers.", lower_bound=0.01)
_SIZE = flags.DEFINE_integer("size", 32, "Side of the images in pixels.", lower_bound=8)
_BATCH = flags.DEFINE_integer("batch", 32, "Batch size.", lower_bound=1)
_THREADS = flags.DEFINE_integer("threads", 2, "Number of TensorFlow threads.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 5, "Number of timed steps, after one that is not timed.", lower_bound=1)
_RECOMPUTE = flags.DEFINE_bool("recompute", False, "Recompute blocks in the backward pass: less memory, more time.")
_PRECISION = flags.DEFINE_string("precision", "float32", "Compute precision: float32, mixed_bfloat16 or mixed_float16.")
_JIT = flags.DEFINE_bool("jit_compile", False, "Compile the whole step as one XLA program.")
_EAGER = flags.DEFINE_bool("eager", False, "Run functions eagerly: starts at once, but is slower.")
_RATES = flags.DEFINE_bool("rates", False, "Measure sgemm and copy rates after the steps, and report floor_s.")


def main() -> None:
    import dataclasses
    import json

    from benchmarks.fair_step.least_work import count_work, reduced_space
    from scarlet_tf.arch import get_space
    from scarlet_tf.choices import check_known
    from scarlet_tf.supernet.supernet_config import PRECISIONS

    check_known("precision", _PRECISION.value, PRECISIONS)
    if _SPACE.value:
        space = dataclasses.replace(get_space(_SPACE.value), resolution=_SIZE.value)
    else:
        space = reduced_space(_WIDTH.value, _SIZE.value)
    load_tensorflow()
    from benchmarks.fair_step.step_timing import limit_threads, measure_rates, run_eagerly, time_steps

    limit_threads(_THREADS.value)
    run_eagerly(_EAGER.value)
    result = time_steps(
        space,
        batch=_BATCH.value,
        steps=_STEPS.value,
        precision=_PRECISION.value,
        recompute=_RECOMPUTE.value,
        jit_compile=_JIT.value,
    )
    work = count_work(space, _BATCH.value)
    result |= {"madds_g": round(work.madds / 1e9, 2), "moved_gb": round(work.moved / 1e9, 2)}
    if _RATES.value:
        sgemm, copy = measure_rates(_THREADS.value)
        floor = work.madds / sgemm + work.moved / copy
        result |= {
            "sgemm_gmadds_s": round(sgemm / 1e9, 1),
            "copy_gb_s": round(copy / 1e9, 1),
            "floor_s": round(floor, 3),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    run(main)
