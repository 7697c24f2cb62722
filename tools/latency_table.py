"""Measure what each part of a search space's networks costs on a device, as a table for search.py --quantity.

    python tools/latency_table.py --space=scarlet --target=arm64 --quantize=int8 --output=arm64.json
    python tools/latency_table.py --supernet=runs/supernet --target=host --output=latency.json
    python tools/latency_table.py --space=my_space.json --target=android --output=phone.json \\
        --benchmark_binary=android_aarch64_benchmark_model

Targets: host, milliseconds on this machine; android, milliseconds on a device over adb; arm64, instructions on an
emulated ARM64 processor. A table of the space of a supernet is measured for its image size and classes.

A network costs the sum of its parts, times a scale that is fitted on 5 random networks and checked on 5 others. Files
and measurements are kept beside the output until it is written. To resume, run the same command again.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_SPACE = flags.DEFINE_string("space", None, "Search space: small, scarlet, or a .json file.")
_SUPERNET = flags.DEFINE_string("supernet", None, "Run directory of a supernet, for its space.")
_TARGET = flags.DEFINE_string("target", None, "What to measure on: host, android or arm64.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.", required=True)
_QUANTIZE = flags.DEFINE_string(
    "quantize", "float32", "Format of the files: float32, float16, dynamic, int8 or int8_pure."
)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of networks and inputs.", lower_bound=0)
_THREADS = flags.DEFINE_integer("threads", 1, "host, android: threads of an inference.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer(
    "rounds", None, "host, android: times that each file is measured; default: 60 on host, 5 on android.", lower_bound=1
)
_CPU = flags.DEFINE_string("cpu", "cortex-a76", "arm64: the emulated processor: cortex-a72, cortex-a76 or armv9-i8mm.")
_BINARY = flags.DEFINE_string("benchmark_binary", None, "android: LiteRT's benchmark_model, built for the device.")
_SERIAL = flags.DEFINE_string("serial", None, "android: device to use if several are connected.")
_CPU_MASK = flags.DEFINE_string("cpu_mask", None, "android: hexadecimal mask of the CPUs to run on.")
_ADB = flags.DEFINE_string("adb", "adb", "android: name or path of the adb client.")

_FLAGS_OF = {
    "host": ("threads", "rounds"),
    "arm64": ("cpu",),
    "android": ("threads", "rounds", "benchmark_binary", "serial", "cpu_mask", "adb"),
}


def main() -> None:
    from scarlet_tf.files import check_output_file
    from scarlet_tf.formats import QUANTIZATIONS, check_ending, parse_format

    quantize = parse_format("quantize", _QUANTIZE.value, QUANTIZATIONS)
    target, space = choose_target(), choose_space()
    target.describe()
    check_output_file(_OUTPUT.value)
    check_ending(_OUTPUT.value, ".json")
    load_tensorflow()
    from scarlet_tf.latency.table_maker import make_table

    table = make_table(space, target, _OUTPUT.value, quantize=quantize, seed=_SEED.value)
    measured = sum(cost.estimated_from is None for cost in table.costs.values())
    print(f"{len(table.costs)} parts, {measured} of them measured, in {table.unit}; scale {table.scale:.4f}")
    if table.held_out:
        print(
            f"error on {len(table.held_out)} held-out networks: mean {table.mean_error:.2%}, max {table.max_error:.2%}"
        )


def choose_space():
    from scarlet_tf.arch import get_space
    from scarlet_tf.supernet.supernet_config import read_supernet_space

    if (_SPACE.value is None) == (_SUPERNET.value is None):
        raise ValueError("expected one of --space and --supernet")
    return get_space(_SPACE.value) if _SPACE.value else read_supernet_space(_SUPERNET.value)


def choose_target():
    from scarlet_tf.choices import check_known
    from scarlet_tf.latency.android_settings import AndroidSettings
    from scarlet_tf.latency.table_targets import TARGETS, AndroidTarget, Arm64Target, HostTarget

    name = _TARGET.value
    check_known("target", name, TARGETS)
    for flag in sorted({flag for known in _FLAGS_OF.values() for flag in known}):
        if flags.FLAGS[flag].present and flag not in _FLAGS_OF[name]:
            owners = " or ".join(owner for owner, known in _FLAGS_OF.items() if flag in known)
            raise ValueError(f"--{flag} needs --target={owners}, got {name!r}")
    if name == "arm64":
        return Arm64Target(cpu=_CPU.value, seed=_SEED.value)
    if name == "host":
        return HostTarget(threads=_THREADS.value, rounds=_ROUNDS.value or HostTarget.rounds, seed=_SEED.value)
    settings = AndroidSettings(
        threads=(_THREADS.value,),
        cpu_mask=_CPU_MASK.value,
        rounds=_ROUNDS.value or AndroidSettings.rounds,
        min_seconds=0.3,  # parts are small, and many
        cooldown=0.2,
    )
    return AndroidTarget(
        binary=_BINARY.value, benchmark=settings, serial=_SERIAL.value, adb=_ADB.value, seed=_SEED.value
    )


if __name__ == "__main__":
    run(main)
