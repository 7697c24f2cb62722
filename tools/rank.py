"""Says how well a supernet ranks models: Kendall's tau of one-shot and stand-alone accuracy of random models.

    python tools/rank.py --supernet=runs/quickstart/supernet --models=16 --output=runs/rank

Trains every model on its own, on the supernet's training images. Writes models/, log.jsonl, rank.json, rank.svg,
rank.png and rank.md. Run again after it was stopped, or with more --models or --repeats, it trains only what is
missing.
"""

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run

_SUPERNET = flags.DEFINE_string("supernet", None, "Folder that train_supernet.py wrote.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the result.", required=True)
_MODELS = flags.DEFINE_integer("models", 16, "Models to compare.", lower_bound=2)
_DRAW = flags.DEFINE_string("draw", "uniform", "uniform over the space, or depth: uniform in the number of identities.")
_RECIPE = flags.DEFINE_string("recipe", "small", "Of the stand-alone training: small or paper.")
_EPOCHS = flags.DEFINE_float("epochs", None, "Of the stand-alone training; default: the recipe's.")
_REPEATS = flags.DEFINE_integer("repeats", 1, "Stand-alone trainings of a model, whose mean counts.", lower_bound=1)
_IMAGES = flags.DEFINE_integer("images", None, "Held-out images for one-shot accuracy; default: all.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the genomes and of the first stand-alone training.", lower_bound=0)
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Leave out images that do not decode, and say how many.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps its sets.")


def main() -> None:
    from scarlet_tf.choices import require_known
    from scarlet_tf.files import locked_folder, require_free, require_holding, require_run_folder
    from scarlet_tf.supernet.settings import DRAWS
    from scarlet_tf.supernet.unfinished import warn_if_unfinished
    from scarlet_tf.training.config import train_config

    require_known("draw", _DRAW.value, DRAWS)
    train_config(_RECIPE.value, **({} if _EPOCHS.value is None else {"epochs": _EPOCHS.value}))
    require_holding(_SUPERNET.value, "config.json", what="supernet")
    require_run_folder(_OUTPUT.value)
    require_free(_OUTPUT.value)
    warn_if_unfinished(_SUPERNET.value)
    load_tensorflow()
    from scarlet_tf.supernet.ranking import rank
    from scarlet_tf.supernet.ranking_page import make_ranking_page

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
