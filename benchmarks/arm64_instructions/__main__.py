"""Count the instructions of SCARLET's .tflite files, and of keras.applications', on emulated ARM64 processors.

    python -m benchmarks.arm64_instructions
    python -m benchmarks.arm64_instructions --networks=SCARLET-A,MobileNetV2 --cpus=cortex-a72 --output=runs/arm64

The files are those of benchmarks.tflite_peers: a plain and a rewritten one of every network, with random weights,
converted once and kept. Counts are the same on every machine, but they are not times; see docs/phone.md. The emulator
must be set up: python tools/benchmark_arm64.py --set_up
"""

from absl import flags

from scarlet_tf.cli import command_line, run

_NETWORKS = flags.DEFINE_list(
    "networks",
    ["SCARLET-A", "SCARLET-B", "SCARLET-C", "EfficientNetB0", "MobileNetV2", "MobileNetV3Large"],
    "Networks to count, of SCARLET-A, -B, -C, EfficientNetB0, MobileNetV2 and MobileNetV3Large, separated by commas.",
)
_FORMATS = flags.DEFINE_list(
    "formats", ["float32", "int8"], "Formats to count, of float32, float16, dynamic and int8, separated by commas."
)
_CPUS = flags.DEFINE_list(
    "cpus", ["cortex-a72", "cortex-a76"], "Emulated processors, separated by commas; see tools/benchmark_arm64.py."
)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of weights, calibration images and inputs.", lower_bound=0)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Output path without its ending, for .json and .md; default: zoo/results/arm64_instructions."
)
_CACHE = flags.DEFINE_string(
    "cache", None, "Folder that keeps the .tflite files; default: scarlet_tf/tflite_peers in the user's cache."
)


def main() -> None:
    from benchmarks.arm64_instructions.counts import count_files, make_page
    from benchmarks.result_files import choose_output, write_result
    from benchmarks.tflite_peers.peer_files import choose_networks, make_files
    from scarlet_tf.choices import check_known
    from scarlet_tf.files import expand_user, user_cache
    from scarlet_tf.latency import CPUS, check_emulator

    for cpu in _CPUS.value:
        check_known("cpu", cpu, CPUS)
    networks = choose_networks(_NETWORKS.value)
    output = choose_output(_OUTPUT.value, "arm64_instructions")
    check_emulator()
    cache = expand_user(_CACHE.value) if _CACHE.value else user_cache() / "tflite_peers"
    files = make_files(networks, _FORMATS.value, cache, seed=_SEED.value)
    command = command_line(without=("output", "cache"))
    result = count_files(files, cpus=_CPUS.value, command=command, seed=_SEED.value)
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
