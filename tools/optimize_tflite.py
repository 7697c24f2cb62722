"""Rewrite a .tflite file of any converter to run fast on XNNPACK, without changing its outputs.

    python tools/optimize_tflite.py a.tflite a_fast.tflite

Prints what each pass did, or why it left the file alone, and compares both files on a random input.
"""

from absl import flags

from scarlet_tf.cli import run

_MAX_ERROR = flags.DEFINE_float(
    "max_error",
    None,
    "Largest allowed difference of outputs, as a share of the largest output; if it is exceeded, no file is "
    "written. Default: 1e-5, or no limit if int8 operators were rewritten, whose rounding changes.",
    lower_bound=0.0,
)


def main(source: str, target: str) -> None:
    from scarlet_tf.tflite import optimize_file

    result = optimize_file(source, target, max_error=_MAX_ERROR.value)
    for report in result.passes:
        print(report)
    print(
        f"{source} -> {target}: {result.before.ops} -> {result.after.ops} operations, "
        f"{result.before.partitions} -> {result.after.partitions} partitions, "
        f"outputs differ by {result.relative_error:.2e} of the largest"
    )


if __name__ == "__main__":
    run(main, arguments=("in.tflite", "out.tflite"))
