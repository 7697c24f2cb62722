"""Repeats an experiment of the paper at small scale, on the space "small" and Fashion-MNIST.

    python tools/reproduce.py --figure=1 --output=runs/figure1
    python tools/reproduce.py --figure=4 --output=runs/figure4

Figure 1: supernets with LETs, with plain identities and without; one-shot training accuracy of the same paths.
Figure 4: the paper's meta model with and without ReLU after its LETs.
Writes figureN.json, figureN.svg and a folder for every run. Run again after it was stopped, it continues.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_FIGURE = flags.DEFINE_enum("figure", None, ["1", "4"], "Of the paper.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the result.", required=True)
_ARMS = flags.DEFINE_list("arms", ["let", "plain", "none"], "Figure 1: let, let_normal (random start), plain, none.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of every arm.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 400, "Figure 1: fair steps of a run.", lower_bound=1)
_RATE = flags.DEFINE_float("learning_rate", 0.2, "Figure 1: peak learning rate at a batch of 32.")
_EPOCHS = flags.DEFINE_float("epochs", 1.0, "Figure 4: epochs of a run.")
_DATASET = flags.DEFINE_string("dataset", "fashion_mnist", "tensorflow-datasets name, or folder:PATH.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps its sets.")


def main() -> None:
    load_tensorflow()
    from scarlet_tf.data import DataConfig
    from scarlet_tf.reproduce import Figure1Config, run_figure1, run_figure4, write_figure1, write_figure4
    from scarlet_tf.training.config import train_config

    data = DataConfig(name=_DATASET.value, image_size=32, search_validation=5000, data_dir=_DATA_DIR.value)
    if _FIGURE.value == "1":
        settings = {"seeds": _SEEDS.value, "steps": _STEPS.value, "learning_rate": _RATE.value}
        config = Figure1Config(data=data, arms=tuple(_ARMS.value), **settings)
        print(write_figure1(_OUTPUT.value, config, run_figure1(config, _OUTPUT.value)))
    else:
        config = train_config("small", epochs=_EPOCHS.value)
        trained = run_figure4(data, config, _OUTPUT.value, seeds=_SEEDS.value)
        print(write_figure4(_OUTPUT.value, config, trained))


if __name__ == "__main__":
    run(main)
