"""Measure how well a supernet ranks models: Kendall's tau between one-shot and stand-alone accuracy.

    python tools/rank.py --supernet=runs/quickstart/supernet --models=16 --output=runs/rank

The models are drawn at random, and each is trained on its own, on the supernet's training images. The run directory
holds models/, log.jsonl, rank.json, rank.svg, rank.png and rank.md. To resume a run that was stopped, run the same
command again. With more --models or --repeats, only what is missing is trained; but --draw=madds draws others for
another number of models.
"""

import sys
from pathlib import Path

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run

_SUPERNET = flags.DEFINE_string("supernet", None, "Run directory that train_supernet.py wrote.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Run directory to write.", required=True)
_MODELS = flags.DEFINE_integer("models", 16, "Number of models to compare.", lower_bound=2)
_DRAW = flags.DEFINE_string(
    "draw",
    "uniform",
    "How to draw models: uniform over the space, depth (uniform in the number of identities), or madds (one from each "
    "of --models equal intervals of multiply-adds).",
)
_RECIPE = flags.DEFINE_string("recipe", "small", "Recipe of the stand-alone training: small or paper.")
_EPOCHS = flags.DEFINE_float("epochs", None, "Number of epochs of the stand-alone training; default: the recipe's.")
_REPEATS = flags.DEFINE_integer(
    "repeats", 1, "Number of stand-alone trainings per model; their mean accuracy is used.", lower_bound=1
)
_IMAGES = flags.DEFINE_integer(
    "images", None, "Number of held-out images for one-shot accuracy; default: all.", lower_bound=1
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Random seed of the genomes and of the first stand-alone training.", lower_bound=0
)
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Skip images that cannot be decoded, and report how many.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for benchmarks, which is not installed
    from benchmarks.rank.random_models import DRAWS
    from scarlet_tf.choices import check_known
    from scarlet_tf.files import check_contains, check_free, check_run_folder, locked_folder
    from scarlet_tf.paths import check_local
    from scarlet_tf.supernet.supernet_config import warn_if_unfinished
    from scarlet_tf.training.config import train_config

    check_local(_OUTPUT.value, why="it holds several run directories that are made there: copy it afterwards")
    check_known("draw", _DRAW.value, DRAWS)
    train_config(_RECIPE.value, **({} if _EPOCHS.value is None else {"epochs": _EPOCHS.value}))
    check_contains(_SUPERNET.value, "config.json", what="supernet")
    check_run_folder(_OUTPUT.value)
    check_free(_OUTPUT.value)
    warn_if_unfinished(_SUPERNET.value)
    load_tensorflow()
    from benchmarks.rank.ranking import rank
    from benchmarks.rank.ranking_page import make_ranking_page

    with locked_folder(_OUTPUT.value):
        result = rank(
            _SUPERNET.value,
            _OUTPUT.value,
            command=command_line(without=("data_dir",)),
            models=_MODELS.value,
            draw=_DRAW.value,
            recipe=_RECIPE.value,
            epochs=_EPOCHS.value,
            repeats=_REPEATS.value,
            images=_IMAGES.value,
            seed=_SEED.value,
            data_dir=_DATA_DIR.value,
            skip_damaged=_SKIP_DAMAGED.value,
        )
    print(make_ranking_page({"rank.svg": result}))


if __name__ == "__main__":
    run(main)
