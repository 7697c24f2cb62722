"""Prepare the garment pairs, a set of 100 classes made from Fashion-MNIST, as a dataset of tensorflow-datasets.

    python -m benchmarks.garment_pairs
    python -m benchmarks.garment_pairs --data_dir=data --picture=pairs.png

An image of 48 x 48 pixels shows two garments, each scaled, rotated and placed at random; they may overlap. Its class is
the ordered pair of their classes: the upper one's, then the lower one's, so that a horizontal flip leaves it unchanged.
Test images show garments of Fashion-MNIST's test images only. The tools then take `--dataset=garment_pairs`.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")
_PICTURE = flags.DEFINE_string("picture", None, "Path of a .png that shows the first 40 test images.")


def main() -> None:
    load_tensorflow()
    from benchmarks.garment_pairs.pairs_builder import draw_examples, prepare_garment_pairs

    print(prepare_garment_pairs(_DATA_DIR.value))
    if _PICTURE.value:
        draw_examples(_DATA_DIR.value, _PICTURE.value)


if __name__ == "__main__":
    run(main)
