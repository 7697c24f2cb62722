"""Time SCARLET's and its peers' .tflite files against other runtimes of the same networks, interleaved.

    python -m benchmarks.runtimes --threads=1 --rounds=60
    python -m benchmarks.runtimes --networks=SCARLET-A --formats=float32 --output=runs/runtimes

The runtimes are OpenVINO, ONNX Runtime, ncnn, MNN and PyTorch (extra `peers`); the page lists those that are not
installed. Each runs in a process of its own, on the first cores that this one may use, one for each thread. Weights,
calibration images and inputs are random, which is enough for timing; accuracy is not measured.
"""

from absl import flags

from scarlet_tf.cli import command_line, run

_NETWORKS = flags.DEFINE_list(
    "networks",
    ["SCARLET-A", "SCARLET-B", "SCARLET-C", "EfficientNetB0", "MobileNetV2", "MobileNetV3Large"],
    "Networks to time, of SCARLET-A, -B, -C, EfficientNetB0, MobileNetV2 and MobileNetV3Large, separated by commas.",
)
_FORMATS = flags.DEFINE_list("formats", ["float32", "int8"], "Formats to time, of float32 and int8.")
_THREADS = flags.DEFINE_list("threads", ["1", "2"], "Numbers of threads of each runtime, separated by commas.")
_ROUNDS = flags.DEFINE_integer("rounds", 60, "Number of measured rounds.", lower_bound=1)
_WARMUP = flags.DEFINE_integer("warmup", 5, "Number of warm-up rounds, which are not measured.", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of weights, calibration images and inputs.", lower_bound=0)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Output path without its ending, for .json and .md; default: zoo/results/runtimes."
)
_CACHE = flags.DEFINE_string(
    "cache", None, "Folder that keeps converted files; default: scarlet_tf/runtimes in the user's cache."
)


def main() -> None:
    from benchmarks.result_files import choose_output, write_result
    from benchmarks.runtimes.comparison import check_threads, compare_all
    from benchmarks.runtimes.network_files import make_networks
    from benchmarks.runtimes.runtimes_page import make_page
    from benchmarks.tflite_peers.peer_files import choose_networks
    from scarlet_tf.files import expand_user, user_cache

    output = choose_output(_OUTPUT.value, "runtimes")
    threads = [int(count) for count in _THREADS.value]
    check_threads(threads)
    cache = expand_user(_CACHE.value) if _CACHE.value else user_cache() / "runtimes"
    networks = make_networks(choose_networks(_NETWORKS.value), _FORMATS.value, cache, seed=_SEED.value)
    result = compare_all(
        networks,
        _FORMATS.value,
        threads,
        folder=cache,
        rounds=_ROUNDS.value,
        warmup=_WARMUP.value,
        seed=_SEED.value,
        command=command_line(without=("output", "cache")),
    )
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
