"""Repeat an experiment of the paper at small scale, on Fashion-MNIST, or resume one.

    python tools/reproduce.py --figure=1 --output=runs/figure1
    python tools/reproduce.py --figure=1 --space=double --output=runs/figure1_double
    python tools/reproduce.py --figure=4 --output=runs/figure4
    python tools/reproduce.py --figure=6 --supernet=runs/quickstart/supernet --output=runs/figure6

Figure 1: supernets with LETs, with plain identities and without either; one-shot training accuracy of the same paths.
Figure 4: the paper's meta model with and without ReLU after its LETs.
Figure 6: searches of a trained supernet with and without a minimum accuracy: fronts, and share of identities.

The run directory holds figureN.json, .svg, .png and .md, and a folder for every run. To resume an experiment that was
stopped, run the same command again.
"""

import sys
from pathlib import Path

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run, usable_cores
from scarlet_tf.files import check_free, check_run_folder, locked_folder
from scarlet_tf.paths import check_local

_FIGURE = flags.DEFINE_enum("figure", None, ["1", "4", "6"], "Figure of the paper.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Run directory to write.", required=True)
_ARMS = flags.DEFINE_list(
    "arms",
    ["let", "plain", "none"],
    "Figure 1: supernets to compare, of let, let_normal (LETs with random initialisation), plain and none.",
)
_SPACE = flags.DEFINE_string("space", "small", "Figure 1: search space, small (6 layers), double (12) or deep (19).")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of runs of every arm.", lower_bound=1)
_FIRST_SEED = flags.DEFINE_integer(
    "first_seed", 0, "Figure 1: random seed of the first run; the other runs count up from it.", lower_bound=0
)
_STEPS = flags.DEFINE_integer("steps", 400, "Figure 1: number of fair steps of a run.", lower_bound=1)
_RATE = flags.DEFINE_float("learning_rate", 0.2, "Figure 1: peak learning rate at a batch size of 32.")
_EPOCHS = flags.DEFINE_float("epochs", 1.0, "Figure 4: number of epochs of a run.")
_SUPERNET = flags.DEFINE_string("supernet", None, "Figure 6: run directory that train_supernet.py wrote.")
_POPULATION = flags.DEFINE_integer("population", 70, "Figure 6: population size.")
_GENERATIONS = flags.DEFINE_integer("generations", 20, "Figure 6: number of generations of a search.")
_QUANTILES = flags.DEFINE_list(
    "quantiles",
    ["0.5"],
    "Figure 6: one arm for each; its Acc_min is that quantile of the accuracies of uniformly drawn models.",
)
_DRAWS = flags.DEFINE_integer("draws", 200, "Figure 6: number of uniformly drawn models that determine Acc_min.")
_IMAGES = flags.DEFINE_integer(
    "images", 1000, "Figure 6: maximum number of held-out images to evaluate on.", lower_bound=1
)
_CALIBRATION = flags.DEFINE_integer(
    "calibration_images",
    256,
    "Figure 6: maximum number of training images that recalibrate batch normalisation.",
    lower_bound=1,
)
_HELD_OUT = flags.DEFINE_integer(
    "search_validation", 5000, "Figures 1, 4: number of training images held out, as for a search."
)
_DATASET = flags.DEFINE_string(
    "dataset", "fashion_mnist", "Figures 1, 4: dataset, a tensorflow-datasets name or folder:PATH."
)
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Skip images that cannot be decoded, and report how many.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for benchmarks, which is not installed
    if _FIGURE.value == "6" and _SUPERNET.value is None:
        raise ValueError("figure 6 searches a supernet: expected --supernet, a run directory of train_supernet.py")
    check_local(_OUTPUT.value, why="it holds several run directories that are made there: copy it afterwards")
    check_run_folder(_OUTPUT.value)
    check_free(_OUTPUT.value)
    print({"1": _figure1, "4": _figure4, "6": _figure6}[_FIGURE.value]())


def _figure1() -> str:
    from benchmarks.figure1.figure1_config import Figure1Config
    from scarlet_tf.supernet.supernet_config import share_out_threads

    config = Figure1Config(
        data=_data(),
        space=_SPACE.value,
        arms=tuple(_ARMS.value),
        seeds=_SEEDS.value,
        first_seed=_FIRST_SEED.value,
        steps=_STEPS.value,
        learning_rate=_RATE.value,
    )
    load_tensorflow(threads=share_out_threads(len(usable_cores())))
    from benchmarks.figure1.figure1_arms import run_figure1
    from benchmarks.figure1.figure1_page import write_figure1

    with locked_folder(_OUTPUT.value):
        arms = run_figure1(config, _OUTPUT.value)
        return write_figure1(_OUTPUT.value, config, arms, command=_command())


def _figure4() -> str:
    from scarlet_tf.training.config import train_config

    data = _data()
    config = train_config("small", epochs=_EPOCHS.value)
    load_tensorflow()
    from benchmarks.figure4.figure4_page import write_figure4
    from benchmarks.figure4.meta_model import run_figure4

    with locked_folder(_OUTPUT.value):
        trained = run_figure4(data, config, _OUTPUT.value, seeds=_SEEDS.value)
        return write_figure4(_OUTPUT.value, data, config, trained, command=_command())


def _figure6() -> str:
    from benchmarks.figure6.figure6_searches import Figure6Config, run_figure6
    from scarlet_tf.files import check_contains
    from scarlet_tf.supernet.supernet_config import warn_if_unfinished

    config = Figure6Config(
        quantiles=_quantiles(),
        draws=_DRAWS.value,
        population=_POPULATION.value,
        generations=_GENERATIONS.value,
        seeds=_SEEDS.value,
    )
    check_contains(_SUPERNET.value, "config.json", what="supernet")
    warn_if_unfinished(_SUPERNET.value)
    load_tensorflow()
    from benchmarks.figure6.figure6_page import write_figure6
    from scarlet_tf.supernet import SupernetEvaluator, load_supernet

    trained = load_supernet(_SUPERNET.value)
    evaluator = SupernetEvaluator(
        trained,
        bn="recalibrated",
        images=_IMAGES.value,
        calibration_images=_CALIBRATION.value,
        data_dir=_DATA_DIR.value,
    )
    with locked_folder(_OUTPUT.value):
        arms = run_figure6(config, _OUTPUT.value, space=trained.space, evaluator=evaluator)
        return write_figure6(
            _OUTPUT.value,
            config,
            arms,
            supernet={"fingerprint": trained.fingerprint, "step": trained.step, "config": trained.config.to_dict()},
            evaluation={
                "bn": "recalibrated",
                "images": evaluator.num_images,
                "calibration_images": len(evaluator.calibration),
            },
            command=_command(),
        )


def _data():
    """Return the DataConfig of figures 1 and 4."""
    from scarlet_tf.data import DataConfig, check_image_folder

    check_image_folder(_DATASET.value)
    return DataConfig(
        name=_DATASET.value,
        image_size=32,
        search_validation=_HELD_OUT.value,
        data_dir=_DATA_DIR.value,
        skip_damaged=_SKIP_DAMAGED.value,
    )


def _command() -> str:
    return command_line(without=("data_dir",))


def _quantiles() -> tuple[float, ...]:
    try:
        return tuple(float(text) for text in _QUANTILES.value)
    except ValueError:
        raise ValueError(f"--quantiles must be numbers between 0 and 1, got {','.join(_QUANTILES.value)!r}") from None


if __name__ == "__main__":
    run(main)
