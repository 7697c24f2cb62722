"""Prepare ImageNet (ILSVRC 2012) for tensorflow-datasets from its two tars, or resume.

    python tools/prepare_imagenet.py --tars=/data/tars
    python tools/prepare_imagenet.py --tars=/data/tars --data_dir=/data/tfds

Afterwards `--dataset=imagenet2012` of the other tools reads it, as array_record. The folder --tars holds
ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, which image-net.org offers after registration.

To resume after a stop, even by kill -9, run the same command again: it reads the lists of the tars and writes the files
that are missing. At the end it counts the images by split and class, and compares some with the tars. For a dataset
that is prepared already, it does only that.
"""

import sys

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_TARS = flags.DEFINE_string("tars", None, "Folder with the two tars.", required=True)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Data folder of tensorflow-datasets; default: $SCARLET_TF_DATA, else <user cache>/scarlet_tf/datasets.",
)
_CHECK_IMAGES = flags.DEFINE_integer(
    "check_images", 1000, "Number of images, drawn at random, to decode and to compare with the tars.", lower_bound=0
)


def main() -> None:
    from scarlet_tf.data import imagenet_disk_need, prepare_imagenet
    from scarlet_tf.data.imagenet_tars import describe_sizes, find_tars

    for line in describe_sizes(find_tars(_TARS.value)):
        print(f"warning: {line}", file=sys.stderr)
    print(imagenet_disk_need(_TARS.value, _DATA_DIR.value), flush=True)
    load_tensorflow()
    counts = prepare_imagenet(_TARS.value, _DATA_DIR.value, check_images=_CHECK_IMAGES.value)
    print(f"ImageNet, {counts['train']} training and {counts['validation']} validation images, is ready")


if __name__ == "__main__":
    run(main)
