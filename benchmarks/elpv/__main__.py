"""Compare our recipes with a short Keras training on 2,624 photographs of solar cells, functional or defective.

    pip install --no-deps elpv-dataset
    taskset -c 1 python -m benchmarks.elpv

Each seed trains two networks, the shipped small one by fine-tuning and a narrow SCARLET-A from scratch, and then the
baseline for the same wall-clock time: run nothing else on the machine meanwhile. To resume after a stop, run the same
command again. Writes a .json and a .md file.
"""

from pathlib import Path

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run, usable_cores

_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Random seeds, separated by commas; each trains every arm once.")
_RUNS = flags.DEFINE_string("runs", "runs/elpv", "Folder of the images and the trained models.")
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/elpv.")


def main() -> None:
    from benchmarks.elpv.photographs import find_labels, write_folder
    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result

    output = choose_output(_OUTPUT.value, "elpv")
    seeds = [int(seed) for seed in _SEEDS.value]
    images = Path(_RUNS.value) / "images"
    counts = write_folder(images, find_labels())
    load_tensorflow(threads={"inter": 1, "intra": len(usable_cores())})
    from benchmarks.elpv.elpv_page import make_page, summarize
    from benchmarks.elpv.trainings import SIDE, default_arms, train_seed

    arms = default_arms()
    runs = [train_seed(images, Path(_RUNS.value), arms, seed=seed) for seed in seeds]
    result = {
        **provenance(command_line(without=("output", "runs")), packages=("keras", "tensorflow", "elpv-dataset")),
        "images": counts,
        "side": SIDE,
        "arms": {name: arm.description for name, arm in arms.items()},
        "summary": summarize(runs),
        "runs": runs,
    }
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
