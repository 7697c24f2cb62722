"""Measure how many images a second and a core the input pipeline decodes and augments, and the start at a late step.

    taskset -c 1 python -m benchmarks.input
    taskset -c 1 python -m benchmarks.input --images=200 --rounds=3 --output=runs/input

Images are JPEGs of 500 x 375 pixels, ImageNet's median size, made from a seed; training batches are of 224 pixels with
the paper's augmentation. For comparison, the rate of tf.image.decode_and_crop_jpeg and of decode_jpeg alone. All are
timed in turn, in one process. The page says which rates accelerators would need.

Late steps: the time from opening a set of 1.28 million tiny records to its batch number 100,000, by format.
"""

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run

_IMAGES = flags.DEFINE_integer("images", 1000, "Number of images that a round reads.", lower_bound=128)
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Number of rounds, after one that does not count.", lower_bound=1)
_RECORDS = flags.DEFINE_integer("records", 1_281_167, "Number of records of the set with a late step.", lower_bound=256)
_LATE_STEP = flags.DEFINE_integer("late_step", 100_000, "Number of the late step.", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/input.")


def main() -> None:
    import tempfile
    from pathlib import Path

    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result

    output = choose_output(_OUTPUT.value, "input")
    load_tensorflow()
    from benchmarks.input.input_page import make_page
    from benchmarks.input.late_steps import time_late_steps
    from benchmarks.input.rates import measure_rates

    with tempfile.TemporaryDirectory() as folder:
        result = {
            **provenance(command_line(without=("output",)), packages=("numpy", "tensorflow", "tensorflow-datasets")),
            "rates": measure_rates(Path(folder) / "images", images=_IMAGES.value, rounds=_ROUNDS.value),
            "late": time_late_steps(Path(folder) / "records", records=_RECORDS.value, step=_LATE_STEP.value),
        }
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
