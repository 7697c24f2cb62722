"""Count the work of evaluating a search's models on several replicas: how evenly it is divided, and what is repeated.

    python -m benchmarks.sharing
    python -m benchmarks.sharing --space=small --images=5000 --batch_size=1000 --output=runs/sharing

A search of a formula gives the models. Nothing is evaluated in a supernet: work is counted in multiply-adds and in
blocks, which a test compares with those computed. Writes a .json and a .md file.
"""

from absl import flags

from scarlet_tf.cli import command_line, run

_SPACE = flags.DEFINE_string("space", "scarlet", "Search space: a name or a file.")
_GENERATIONS = flags.DEFINE_integer("generations", 120, "Number of generations of the search.", lower_bound=1)
_POPULATION = flags.DEFINE_integer("population", 70, "Population size.", lower_bound=3)
_REPLICAS = flags.DEFINE_list("replicas", [2, 4, 8, 16], "Numbers of replicas, separated by commas.")
_IMAGES = flags.DEFINE_integer("images", 50_000, "Number of held-out images.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 20, "Images of a batch; of 224x224 pixels, 20.", lower_bound=1)
_CALIBRATION = flags.DEFINE_integer("calibration_images", 256, "Number of calibration images.", lower_bound=1)
_PORTION = flags.DEFINE_integer("portion", 16, "Models of a portion for each replica.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of the search.", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/sharing.")


def main() -> None:
    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result
    from benchmarks.sharing.efficiency import Setting, measure, parse_counts, searched_calls
    from benchmarks.sharing.sharing_page import make_page
    from scarlet_tf.arch import get_space

    replicas = parse_counts(_REPLICAS.value)
    output = choose_output(_OUTPUT.value, "sharing")
    space = get_space(_SPACE.value)
    setting = Setting(
        images=_IMAGES.value,
        batch_size=_BATCH_SIZE.value,
        calibration_images=_CALIBRATION.value,
        portion=_PORTION.value,
    )
    calls = searched_calls(space, population=_POPULATION.value, generations=_GENERATIONS.value, seed=_SEED.value)
    result = provenance(command_line(without=("output",)), packages=("numpy",))
    result |= measure(space, calls, replicas=replicas, setting=setting)
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
