"""Prepare Fashion-MNIST for tensorflow-datasets, from Debian's package `dataset-fashion-mnist` if it is available.

    python tools/prepare_fashion_mnist.py
    python tools/prepare_fashion_mnist.py --data_dir=/data/tfds

Afterwards `--dataset=fashion_mnist` of the other tools, and tfds.load("fashion_mnist", data_dir=...), need no download.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Data folder of tensorflow-datasets; default: $SCARLET_TF_DATA, else <user cache>/scarlet_tf/datasets.",
)


def main() -> None:
    load_tensorflow()
    from scarlet_tf.data import prepare_fashion_mnist

    path = prepare_fashion_mnist(_DATA_DIR.value)
    print(f"Fashion-MNIST, 60000 + 10000 images, is ready in {path}")


if __name__ == "__main__":
    run(main)
