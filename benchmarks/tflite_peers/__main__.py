"""Time SCARLET's .tflite files against those of keras.applications, all interleaved in one run on this machine.

    python -m benchmarks.tflite_peers --rounds=100
    python -m benchmarks.tflite_peers --networks=SCARLET-A,MobileNetV2 --formats=int8 --output=runs/peers

Every network has two files: a plain one, from TensorFlow's converter, and one rewritten by scarlet_tf.tflite.optimize.
Files are converted once and kept, so a second run only measures. Weights and calibration images are random, which is
enough for timing; accuracy is not measured. On a shared machine, pin the run to a core.
"""

from absl import flags

from scarlet_tf.cli import command_line, run

_NETWORKS = flags.DEFINE_list(
    "networks",
    ["SCARLET-A", "SCARLET-B", "SCARLET-C", "EfficientNetB0", "MobileNetV2", "MobileNetV3Large"],
    "Networks to time, of SCARLET-A, -B, -C, EfficientNetB0, MobileNetV2 and MobileNetV3Large, separated by commas.",
)
_FORMATS = flags.DEFINE_list(
    "formats",
    ["float32", "float16", "dynamic", "int8"],
    "Formats to time, of float32, float16, dynamic and int8, separated by commas.",
)
_ROUNDS = flags.DEFINE_integer("rounds", 100, "Number of measured rounds.", lower_bound=1)
_WARMUP = flags.DEFINE_integer("warmup", 5, "Number of warm-up rounds, which are not measured.", lower_bound=0)
_THREADS = flags.DEFINE_integer("threads", 1, "Threads of each interpreter.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of weights, calibration images and inputs.", lower_bound=0)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Output path without its ending, for .json, .md, .svg and .png; default: zoo/results/tflite_peers."
)
_CACHE = flags.DEFINE_string(
    "cache", None, "Folder that keeps the .tflite files; default: scarlet_tf/tflite_peers in the user's cache."
)


def main() -> None:
    from benchmarks.result_files import choose_output, write_result
    from benchmarks.tflite_peers.measurements import make_result, measure_files
    from benchmarks.tflite_peers.peer_files import choose_networks, make_files
    from benchmarks.tflite_peers.peers_page import draw_bars, make_page
    from scarlet_tf.files import expand_user, user_cache

    output = choose_output(_OUTPUT.value, "tflite_peers")
    cache = expand_user(_CACHE.value) if _CACHE.value else user_cache() / "tflite_peers"
    files = make_files(choose_networks(_NETWORKS.value), _FORMATS.value, cache, seed=_SEED.value)
    measured = measure_files(
        files, threads=_THREADS.value, rounds=_ROUNDS.value, warmup=_WARMUP.value, seed=_SEED.value
    )
    command = command_line(without=("output", "cache"))
    result = make_result(measured, command=command, seed=_SEED.value, warmup=_WARMUP.value)
    page = make_page(result, picture=f"{output.name}.svg")
    print(write_result(output, result, page, chart=draw_bars(result)))


if __name__ == "__main__":
    run(main)
