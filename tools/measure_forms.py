"""Measure what the forms of a model's operators cost on a target, so that rewriting can choose the cheapest.

    python tools/measure_forms.py --models=plain.tflite --target=cortex-a76
    python tools/measure_forms.py --models=plain.tflite --target=android --benchmark_binary=benchmark_model

Costs go to the user's cache, where export_tflite.py and optimize_tflite.py find them. The package has tables for the
zoo's networks and others. Without --models, measures the operators of these tables; with --output as well, that makes
a table for another version of LiteRT. What the table has is not measured again: run the same command to resume.

Targets: cortex-a76, cortex-a72, armv9-i8mm and x86-avx2 count instructions on an emulator, see benchmark_arm64.py;
x86-vnni (without AMX, also where the processor has it), x86-amx and host measure times on this machine, android on a
device over adb.
"""

from absl import flags

from scarlet_tf.cli import run

_TARGET = flags.DEFINE_string("target", None, "The target.", required=True)
_MODELS = flags.DEFINE_list("models", None, "The .tflite files, as converted, separated by commas.")
_OUTPUT = flags.DEFINE_string("output", None, "The JSON table to write or add to; default: that in the user's cache.")
_BINARY = flags.DEFINE_string("benchmark_binary", None, "Path of LiteRT's benchmark_model, built for the device.")
_SERIAL = flags.DEFINE_string("serial", None, "Device to use if several are connected, as `adb devices` names it.")
_ADB = flags.DEFINE_string("adb", "adb", "Name or path of the adb client.")


def main() -> None:
    from scarlet_tf.files import check_output_file
    from scarlet_tf.latency.form_costs import Device, measure_forms

    if _TARGET.value != "android":
        for flag in ("benchmark_binary", "serial", "adb"):
            if flags.FLAGS[flag].present:
                raise ValueError(f"--{flag} needs --target=android, got {_TARGET.value!r}")
    if _OUTPUT.value is not None:
        check_output_file(_OUTPUT.value)
    table, path = measure_forms(
        _TARGET.value,
        models=_MODELS.value or (),
        output=_OUTPUT.value,
        device=Device(binary=_BINARY.value, serial=_SERIAL.value, adb=_ADB.value),
    )
    print(f"{path}: {len(table.costs)} operators on {table.target} ({table.cpu}), LiteRT {table.runtime}")


if __name__ == "__main__":
    run(main)
