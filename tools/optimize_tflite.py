"""Rewrite a .tflite file of any converter to run fast, without changing its outputs.

    python tools/optimize_tflite.py a.tflite a_fast.tflite
    python tools/optimize_tflite.py a.tflite a_phone.tflite --optimize_for=arm64 --max_growth=1.3

Prints which form was chosen for which operators and what that saves, and compares both files on a random input.
"""

from absl import flags

from scarlet_tf.cli import run
from scarlet_tf.formats import NONE, TARGETS

_OPTIMIZE_FOR = flags.DEFINE_enum(
    "optimize_for",
    "xnnpack",
    TARGETS,
    "What to choose the operators' forms for: xnnpack (all phones and PCs), arm64 (phones with dot products), host "
    "(this machine, measured), android (a device that measure_forms.py measured), size (as xnnpack, but the file grows "
    "by 1 % at most); none: leave the file as it is.",
)
_MAX_GROWTH = flags.DEFINE_float(
    "max_growth", None, "Bound of the new file's size, as a multiple of the old; default: no bound."
)
_MAX_ERROR = flags.DEFINE_float(
    "max_error",
    None,
    "Largest allowed difference of outputs, as a share of the largest output; if it is exceeded, no file is "
    "written. Default: 1e-5, or no limit if int8 operators are rounded at other points.",
    lower_bound=0.0,
)


def main(source: str, target: str) -> None:
    from scarlet_tf.tflite import optimize_file

    result = optimize_file(
        source,
        target,
        max_error=_MAX_ERROR.value,
        optimize_for=_OPTIMIZE_FOR.value,
        max_growth=_MAX_GROWTH.value,
    )
    for report in result.reports:
        print(report)
    if not result.reports and _OPTIMIZE_FOR.value != NONE:
        print("no operator has a form that is better than the one it has")
    print(
        f"{source} -> {target}: {result.before.ops} -> {result.after.ops} operations, "
        f"{result.before.partitions} -> {result.after.partitions} partitions, "
        f"{len(result.content):,} bytes, outputs differ by {result.relative_error:.2e} of the largest"
    )


if __name__ == "__main__":
    run(main, arguments=("in.tflite", "out.tflite"))
