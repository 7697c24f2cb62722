"""Measure the latency of .tflite files on an Android device with LiteRT's benchmark_model over adb, interleaved.

    python tools/benchmark_android.py --models=a.tflite,b.tflite --threads=1,4 --output=result.json \\
        --benchmark_binary=android_aarch64_benchmark_model

Every round runs each file once with every thread count. Files that were copied to the device are removed at the end.
"""

import sys

from absl import flags

from scarlet_tf.cli import run

_MODELS = flags.DEFINE_list("models", None, "The .tflite files, separated by commas.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The JSON file to write.", required=True)
_BINARY = flags.DEFINE_string("benchmark_binary", None, "Path of LiteRT's benchmark_model, built for the device.")
_SERIAL = flags.DEFINE_string("serial", None, "Device to use if several are connected, as `adb devices` names it.")
_THREADS = flags.DEFINE_list("threads", ["1"], "Thread counts, separated by commas.")
_CPU_MASK = flags.DEFINE_string("cpu_mask", None, "Hexadecimal mask of the CPUs to run on, such as f0 for CPUs 4 to 7.")
_DELEGATE = flags.DEFINE_string("delegate", None, "Delegate: xnnpack, gpu or nnapi; default: the binary's own choice.")
_RUNS = flags.DEFINE_integer("runs", 50, "Minimum number of inferences per run.")
_WARMUP = flags.DEFINE_integer("warmup", 5, "Minimum number of warm-up inferences per run.")
_MIN_SECS = flags.DEFINE_float("min_secs", 1.0, "Minimum seconds of inferences per run; half of it for the warm-up.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Number of rounds; each runs every file with every thread count.")
_COOLDOWN = flags.DEFINE_float("cooldown", 2.0, "Seconds to wait between two runs.")
_TIMEOUT = flags.DEFINE_float("timeout", 300.0, "Maximum seconds of one run.")
_OP_PROFILE = flags.DEFINE_boolean(
    "op_profile", False, "Also record times by operation, from one additional run of each file and thread count."
)
_ADB = flags.DEFINE_string("adb", "adb", "Name or path of the adb client.")


def main() -> None:
    from scarlet_tf.files import check_output_file
    from scarlet_tf.latency.android import measure_android
    from scarlet_tf.latency.android_results import save_android
    from scarlet_tf.latency.android_settings import AndroidSettings, parse_threads

    settings = AndroidSettings(
        threads=parse_threads(_THREADS.value),
        cpu_mask=_CPU_MASK.value,
        delegate=_DELEGATE.value,
        runs=_RUNS.value,
        warmup=_WARMUP.value,
        rounds=_ROUNDS.value,
        cooldown=_COOLDOWN.value,
        min_seconds=_MIN_SECS.value,
        timeout=_TIMEOUT.value,
        op_profile=_OP_PROFILE.value,
    )
    check_output_file(_OUTPUT.value)
    benchmark = measure_android(_MODELS.value, _BINARY.value, settings=settings, serial=_SERIAL.value, adb=_ADB.value)
    save_android(benchmark, _OUTPUT.value, command=sys.argv)
    facts = benchmark.device
    print(f"{facts.model} ({facts.soc}, Android {facts.android}), benchmark_model for {benchmark.binary['abi']}")
    print(
        f"{'file':40} {'threads':>7} {'ms':>9} {'p10':>8} {'p90':>8} {'min':>8} {'max':>8} {'ratio':>7} {'peak MB':>8}"
    )
    for row in benchmark.latencies:
        peak = row.memory_mb["peak_mb"]
        print(
            f"{row.path:40} {row.threads:7} {row.median_ms:9.2f} {row.p10_ms:8.2f} {row.p90_ms:8.2f} "
            f"{row.min_ms:8.2f} {row.max_ms:8.2f} {row.ratio:7.3f} {'-' if peak is None else f'{peak:.1f}':>8}"
        )
    for warning in benchmark.warnings:
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
