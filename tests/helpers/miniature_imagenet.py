"""Tars in the layout of ImageNet's, with small images of noise.

PYTHONPATH=.:tests/helpers python tests/helpers/miniature_imagenet.py FOLDER
"""

import io
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
PNG = "n02105855_2933.JPEG"  # the PNG image of ImageNet, and one of its CMYK images
CMYK = "n01739381_1309.JPEG"


def classes() -> list[str]:
    """Return the WordNet IDs of ImageNet's classes, in label order."""
    import tensorflow_datasets as tfds

    return tfds.core.tfds_path("datasets/imagenet2012/labels.txt").read_text().split()


def training_images(*, in_class: int = 2) -> dict[str, dict[str, bytes]]:
    """Return encoded images by file name, by class; the PNG and CMYK images are among them."""
    rng = np.random.default_rng(0)
    images = {}
    for name in classes():
        special = [file for file in (PNG, CMYK) if file.startswith(name)]
        files = [*special, *(f"{name}_{number}.JPEG" for number in range(1, in_class + 1))][:in_class]
        images[name] = {file: _encoded(rng, file) for file in files}
    return images


def validation_images(count: int = 50) -> dict[str, bytes]:
    """Return encoded images by file name, with the first names of the real ones."""
    rng = np.random.default_rng(1)
    files = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, count + 1)]
    return {file: _encoded(rng, file) for file in files}


def write_tars(
    folder: Path, train: Mapping[str, Mapping[str, bytes]] | None = None, validation: Mapping[str, bytes] | None = None
) -> Path:
    """Write both tars; return the folder. None: `training_images` and `validation_images`."""
    folder.mkdir(parents=True, exist_ok=True)
    train = training_images() if train is None else train
    (folder / TRAIN).write_bytes(tar({f"{name}.tar": tar(images) for name, images in train.items()}))
    (folder / VALIDATION).write_bytes(tar(validation_images() if validation is None else validation))
    return folder


def tar(files: Mapping[str, bytes]) -> bytes:
    """Return an uncompressed tar of files by name."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def _encoded(rng: np.random.Generator, name: str, *, width: int = 60, height: int = 40) -> bytes:
    """Return noise around a random colour, as JPEG or as what ImageNet has under this name."""
    colour = rng.integers(40, 216, 3)
    image = Image.fromarray((colour + rng.integers(-40, 40, (height, width, 3))).astype(np.uint8))
    content = io.BytesIO()
    if name == CMYK:
        image = image.convert("CMYK")
    image.save(content, "PNG" if name == PNG else "JPEG")
    return content.getvalue()


if __name__ == "__main__":
    write_tars(Path(sys.argv[1]))
