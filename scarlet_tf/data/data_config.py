"""Dataset settings: which images, how they are split, and how they are augmented."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from scarlet_tf.choices import check_integer, check_known
from scarlet_tf.files import expand_user, user_cache
from scarlet_tf.image_size import ImageSize, canonical_image_size, height_and_width
from scarlet_tf.paths import is_remote, nearest_path

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath

AUGMENTATIONS = ("none", "flips", "flip_crop", "inception")
SPLITS = ("train", "search_validation", "validation", "test")
FOLDER_PREFIX = "folder:"
PREPARED_LOCALLY = "a dataset is prepared on a local disk: copy it from there"
CROP_SHARE = 224 / 256  # paper: evaluation on the centre crop, 224 of 256
# The first of these sub-folders that exists holds the test images.
FOLDER_TEST_SPLITS = ("test", "validation", "val", "valid")


class DataError(ValueError):
    """Error for an unusable dataset; the message names the value and what was expected."""


def default_data_dir() -> Path | RemotePath:
    """Return the folder for tensorflow-datasets: $SCARLET_TF_DATA, else <user cache>/scarlet_tf/datasets."""
    if chosen := os.environ.get("SCARLET_TF_DATA"):
        return expand_user(chosen)
    return user_cache() / "datasets"


def check_image_folder(name: str) -> None:
    """Raise DataError if the folder of "folder:PATH" does not exist, or if a path lacks the prefix "folder:".

    Args:
        name: a dataset name, see `DataConfig`; names of tensorflow-datasets are not checked.
    """
    folder = _folder(name)
    looks_like_path = is_remote(name) or name.startswith(("/", "./", "../", "~")) or (Path(name) / "train").is_dir()
    if folder is None and (meant := re.match("(?i)folder[:=](.*)", name)):
        raise DataError(f"unknown dataset {name!r}: for an image folder, use 'folder:{meant[1]}'")
    if folder is None and looks_like_path:
        raise DataError(f"unknown dataset {name!r}: for an image folder, use 'folder:{name}'")
    if folder is not None and not folder.is_dir():
        raise DataError(
            f"no image folder at {folder}: expected {folder}/train/CLASS/*.jpg (or .png, .bmp, .gif, .webp)"
            f"{nearest_path(folder)}"
        )


def _folder(name: str) -> Path | RemotePath | None:
    return expand_user(name.removeprefix(FOLDER_PREFIX)) if name.startswith(FOLDER_PREFIX) else None


def parse_validation(text: str) -> float | str:
    """Parse `DataConfig.validation` from text: "0.1" is a share (float), "test" the name of a split (str)."""
    try:
        return float(text)
    except ValueError:
        return text


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """An image classification dataset and its preprocessing.

    Attributes:
        name: a tensorflow-datasets name such as "fashion_mnist", or "folder:PATH" with PATH/train/CLASS/*.jpg and
            PATH/test/CLASS/*.jpg (or .png, .bmp, .gif, .webp). PATH may be remote, such as gs://bucket/flowers. Names
            that begin with a dot are ignored, links are followed, and images in sub-folders belong to the class. Pixels
            are read as stored: EXIF orientation is not applied, only the first frame of an animation is read, and
            transparency is dropped.
        image_size: size of the images in a batch, in pixels: one side, or (height, width).
        data_dir: folder for tensorflow-datasets; None: `default_data_dir()`.
        search_validation: number of training images held out for the search (paper: 50,000 of ImageNet).
        augment: augmentation of training batches. "none"; "flips": random flips along both axes, for pictures without
            a natural upright orientation; "flip_crop": zero-pad by 4, random crop, random flip; "inception": random
            area 0.08 to 1 and aspect ratio 3/4 to 4/3 of image_size's, random flip, random colours.
        mean, std: per channel, to normalise pixels in [0, 1] with, such as those that a trained network expects; None:
            the dataset's own.
        crop_share: share of the sides that evaluation sees: the centre crop of an image resized to cover image_size /
            crop_share; with 1, the largest centre crop of that aspect ratio. None: 224/256 with "inception", else 1.
        seed: determines which images are held out.
        validation: validation images for training. A share of the training images to hold out, in (0, 1), taken from
            every class, but at least one image of a class with two or more; or the name of another split, such as
            "validation" or "test".
        input_workers: most threads that read, decode and augment images; None: TensorFlow's own, one for each core. It
            changes no image.
        cache: where to keep encoded images after they were first read. None: nowhere; "memory"; or a folder on a disk
            faster than the dataset's. It changes no image, and serves image folders and array_record datasets. A small
            dataset is held in memory anyway, see `open_dataset`. Checked by `check_cache`.
        skip_damaged: check all images when the dataset is opened, and leave out those that do not decode; False: the
            first damaged image that is used raises an error.

    Raises:
        DataError: for an invalid value.

    Example:
        >>> DataConfig(name="fashion_mnist", image_size=32, augment="flip_crop").image_shape
        (32, 32)
    """

    name: str
    image_size: ImageSize
    data_dir: str | os.PathLike | None = None
    search_validation: int = 0
    augment: str = "none"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    crop_share: float | None = None
    seed: int = 0
    validation: float | str | None = None
    skip_damaged: bool = False
    input_workers: int | None = None
    cache: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or self.name == FOLDER_PREFIX:
            raise DataError(f"dataset name must be a tensorflow-datasets name or 'folder:PATH', got {self.name!r}")
        size = canonical_image_size(self.image_size, what="image_size", error=DataError)
        object.__setattr__(self, "image_size", size)
        for field in ("search_validation", "seed"):
            check_integer(field, getattr(self, field), least=0, error=DataError)
        if self.input_workers is not None:
            check_integer("input_workers", self.input_workers, least=1, error=DataError)
        if (self.mean is None) != (self.std is None):
            raise DataError(f"mean and std must be set together, got {self.mean!r} and {self.std!r}")
        if self.crop_share is not None and not 0 < self.crop_share <= 1:
            raise DataError(f"crop_share must be in (0, 1], got {self.crop_share!r}")
        check_known("augment", self.augment, AUGMENTATIONS, error=DataError)
        share = self.validation if isinstance(self.validation, float) else 0.5
        named = isinstance(self.validation, str) and self.validation not in ("", "train", "search_validation")
        if not 0 < share < 1 or not (named or self.validation is None or isinstance(self.validation, float)):
            raise DataError(
                "validation must be a share of the training images between 0 and 1, or the name of another split such "
                f"as 'test', got {self.validation!r}"
            )

    def to_dict(self) -> dict:
        """Return the settings that determine the images: not where they are and how they are read.

        Settings that older records lack are omitted at their defaults, so that records of the same settings agree.
        """
        later = {"validation": None, "crop_share": None, "skip_damaged": False}
        reading = ("data_dir", "input_workers", "cache")
        described = {name: value for name, value in vars(self).items() if name not in reading}
        return {name: value for name, value in described.items() if name not in later or value != later[name]}

    @property
    def image_shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return height_and_width(self.image_size)

    @property
    def default_crop_share(self) -> float:
        """The crop share that crop_share=None stands for."""
        return CROP_SHARE if self.augment == "inception" else 1.0

    @property
    def folder(self) -> Path | RemotePath | None:
        """PATH of "folder:PATH", or None for a name of tensorflow-datasets."""
        return _folder(self.name)
