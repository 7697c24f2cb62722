"""Time SCARLET's .tflite files against those of keras.applications, all interleaved in one run on this machine.

    python benchmarks/tflite_peers.py --rounds=100
    python benchmarks/tflite_peers.py --networks=SCARLET-A,MobileNetV2 --formats=int8 --output=runs/peers

Every network has two files: a plain one, from TensorFlow's converter, and one rewritten by scarlet_tf.tflite.optimize.
Files are converted once and kept, so a second run only measures. Weights and calibration images are random, which is
enough for timing; accuracy is not measured. On a shared machine, pin the run to a core.
"""

from pathlib import Path

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
    "output", None, "Output path without its ending, for .json, .md and .svg; default: zoo/results/tflite_peers."
)
_CACHE = flags.DEFINE_string(
    "cache", None, "Folder that keeps the .tflite files; default: scarlet_tf/tflite_peers in the user's cache."
)


def main() -> None:
    import json
    import os

    from peers.files import make_files
    from peers.networks import choose_networks
    from peers.page import make_markdown
    from peers.plot import draw_bars
    from peers.result import make_result, measure_files

    from scarlet_tf.files import check_output_file, write_atomically

    output = _OUTPUT.value or str(Path(__file__).resolve().parents[1] / "zoo" / "results" / "tflite_peers")
    check_output_file(f"{output}.json")
    cache = _CACHE.value or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "scarlet_tf" / "tflite_peers"
    files = make_files(choose_networks(_NETWORKS.value), _FORMATS.value, Path(cache).expanduser(), seed=_SEED.value)
    measured = measure_files(
        files, threads=_THREADS.value, rounds=_ROUNDS.value, warmup=_WARMUP.value, seed=_SEED.value
    )
    command = command_line(without=("output", "cache"))
    result = make_result(measured, command=command, seed=_SEED.value, warmup=_WARMUP.value)
    page = make_markdown(result, picture=f"{Path(output).name}.svg")
    write_atomically(f"{output}.json", json.dumps(result, indent=1) + "\n")
    write_atomically(f"{output}.svg", draw_bars(result))
    write_atomically(f"{output}.md", page)
    print(page)


if __name__ == "__main__":
    run(main)
