"""Rewrites a .tflite file, of any converter, to run fast on XNNPACK; its outputs stay what they were.

    python tools/optimize_tflite.py a.tflite a_fast.tflite

Says what every pass did or why it left the file alone, and compares both files on a random input.
"""

from absl import flags

from scarlet_tf.cli import run

_MAX_ERROR = flags.DEFINE_float(
    "max_error",
    None,
    "Refuse to write where outputs differ by more, as a share of the largest; default: 1e-5, and no limit where int8 "
    "operators were rewritten, whose roundings change.",
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
