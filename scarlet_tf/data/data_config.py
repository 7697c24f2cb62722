"""Which pictures, how they are split, and how they are augmented."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from scarlet_tf.choices import require_known
from scarlet_tf.files import expand_user, user_cache
from scarlet_tf.image_size import ImageSize, check_image_size, height_and_width

AUGMENTATIONS = ("none", "flips", "flip_crop", "inception")
SPLITS = ("train", "search_validation", "validation", "test")
FOLDER_PREFIX = "folder:"
CROP_SHARE = 224 / 256  # paper: evaluation by the centre crop, 224 of 256
# Where a folder keeps its test images: the first of these that is there.
FOLDER_TEST_SPLITS = ("test", "validation", "val", "valid")


class DataError(ValueError):
    """A data set that cannot be used; the message names the value and what was expected."""


def default_data_dir() -> Path:
    """Where tensorflow-datasets keeps its sets: $SCARLET_TF_DATA, else <user cache>/scarlet_tf/datasets."""
    if chosen := os.environ.get("SCARLET_TF_DATA"):
        return expand_user(chosen)
    return user_cache() / "datasets"


def require_image_folder(name: str) -> None:
    """Raise DataError for "folder:PATH" without such a folder, and for a path without the prefix "folder:"."""
    folder = _folder(name)
    if folder is None and (name.startswith(("/", "./", "../", "~")) or (Path(name) / "train").is_dir()):
        raise DataError(f"unknown data set {name!r}: a folder of images is named 'folder:{name}'")
    if folder is not None and not folder.is_dir():
        raise DataError(
            f"no image folder at {folder}: expected {folder}/train/CLASS/*.jpg (or .png, .bmp, .gif, .webp)"
        )


def _folder(name: str) -> Path | None:
    return expand_user(name.removeprefix(FOLDER_PREFIX)) if name.startswith(FOLDER_PREFIX) else None


def parse_validation(text: str) -> float | str:
    """Return the share or the name of a split that a text such as "0.1" or "test" means, see `DataConfig`."""
    try:
        return float(text)
    except ValueError:
        return text


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """An image classification set and its preprocessing.

    Attributes:
        name: a tensorflow-datasets name such as "fashion_mnist", or "folder:PATH" with PATH/train/CLASS/*.jpg and
            PATH/test/CLASS/*.jpg (or .png, .bmp, .gif, .webp). Names that begin with a dot are ignored, links are
            followed, and sub-folders belong to their class. Pixels are taken as they are stored: an EXIF orientation
            is not applied, of animations the first frame counts, and transparency is dropped.
        image_size: of the images that the batches hold, in pixels: one side, or (height, width).
        data_dir: of tensorflow-datasets; None: `default_data_dir()`.
        search_validation: number of images held out of the training set for the search (paper: 50,000 of ImageNet).
        augment: of training batches. "none"; "flips": random flips along both axes, for pictures without an upper side;
            "flip_crop": zero-pad by 4, random crop, random flip; "inception": random area 0.08 to 1 and aspect 3/4 to
            4/3 of the image size's, flip, colour.
        mean, std: of the pixels over 255, per channel, to normalise with, as a network at hand was trained with; None:
            the set's own.
        crop_share: of the sides, what evaluation sees: the centre crop of an image resized to cover image_size /
            crop_share, or with 1 the largest centre part of that shape; None: 224/256 with "inception", else 1.
        seed: decides which images are held out.
        validation: of training. A share of the training images to hold out, in (0, 1): of every class its share,
            but at least one of two images and more; or the name of another split, such as "validation" or "test".
        skip_damaged: check all images when the set is opened and leave out those that do not decode, as if they were
            not there; False: the first such image that is used is an error.
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

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or self.name == FOLDER_PREFIX:
            raise DataError(f"data set name must be a tensorflow-datasets name or 'folder:PATH', got {self.name!r}")
        size = check_image_size(self.image_size, what="image_size", error=DataError)
        object.__setattr__(self, "image_size", size)
        for field in ("search_validation", "seed"):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise DataError(f"{field} must be an integer >= 0, got {value!r}")
        if (self.mean is None) != (self.std is None):
            raise DataError(f"mean and std go together, got {self.mean!r} and {self.std!r}")
        if self.crop_share is not None and not 0 < self.crop_share <= 1:
            raise DataError(f"crop_share must be in (0, 1], got {self.crop_share!r}")
        require_known("augment", self.augment, AUGMENTATIONS, error=DataError)
        share = self.validation if isinstance(self.validation, float) else 0.5
        named = isinstance(self.validation, str) and self.validation not in ("", "train", "search_validation")
        if not 0 < share < 1 or not (named or self.validation is None or isinstance(self.validation, float)):
            raise DataError(
                "validation must be a share of the training images between 0 and 1, or the name of another split such "
                f"as 'test', got {self.validation!r}"
            )

    def to_dict(self) -> dict:
        """Return the settings that decide the images, without data_dir, which says where they lie.

        Settings that older records lack are left out at their defaults, so that records of the same settings agree.
        """
        later = {"validation": None, "crop_share": None, "skip_damaged": False}
        described = {name: value for name, value in vars(self).items() if name != "data_dir"}
        return {name: value for name, value in described.items() if name not in later or value != later[name]}

    @property
    def image_shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return height_and_width(self.image_size)

    @property
    def default_crop_share(self) -> float:
        """What crop_share=None stands for."""
        return CROP_SHARE if self.augment == "inception" else 1.0

    @property
    def folder(self) -> Path | None:
        """PATH of "folder:PATH", or None for a named set."""
        return _folder(self.name)
