"""Preprocessing of a model's images: as data, as a function, and as recorded in each kind of model file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.paths import local_copy
from scarlet_tf.zoo.files import WEIGHTS_SUFFIXES, ModelFileError, read_training, read_weights_record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """RGB uint8 pixels -> float32 (x / divisor - mean) / std per channel; evaluation by resize and centre crop.

    Attributes:
        mean, std: of the pixels over 255, for each of three channels.
        resize, crop: the shorter side is resized to `resize` pixels, then a centre square of `crop` pixels is cut out;
            other resolutions keep their ratio. If they are equal, the whole image is used.

    Raises:
        ValueError: for invalid values.
    """

    channel_order: str = "RGB"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: int = 256
    crop: int = 224

    def __post_init__(self) -> None:
        if (self.channel_order, self.divisor) != ("RGB", 255.0):
            raise ValueError(
                f"expected RGB pixels divided by 255, got {self.channel_order!r} divided by {self.divisor!r}"
            )
        for name in ("mean", "std"):
            values = np.asarray(getattr(self, name))
            if values.shape != (3,) or values.dtype.kind not in "if" or not np.isfinite(values).all():
                raise ValueError(f"{name} must be three numbers, got {getattr(self, name)!r}")
            object.__setattr__(self, name, tuple(map(float, values)))
        if min(self.std) <= 0:
            raise ValueError(f"std must be > 0, got {list(self.std)}")
        if not all(type(side) is int for side in (self.resize, self.crop)) or not 1 <= self.crop <= self.resize:
            raise ValueError(f"crop and resize must be integers, 1 <= crop <= resize, got {self.crop}, {self.resize}")

    @property
    def crop_share(self) -> float:
        """Fraction of the shorter side that evaluation uses."""
        return self.crop / self.resize

    @property
    def settings(self) -> dict:
        """The fields of a `data.DataConfig` that prepare images this way."""
        return {"mean": self.mean, "std": self.std, "crop_share": self.crop_share}

    @classmethod
    def from_settings(cls, *, mean: Sequence[float], std: Sequence[float], crop_share: float) -> Preprocessing:
        """Create from `settings`; sizes are rounded to whole pixels."""
        if not isinstance(crop_share, (int, float)) or not 0 < crop_share <= 1:
            raise ValueError(f"crop_share must be in (0, 1], got {crop_share!r}")
        return cls(mean=mean, std=std, resize=round(cls.crop / crop_share))

    def of_pixels(self) -> Preprocessing:
        """Return the preprocessing that remains for a model that normalises pixels, 0..255, itself."""
        return dataclasses.replace(self, mean=(0.0,) * 3, std=(1.0 / 255.0,) * 3)

    def convert(self, images: np.ndarray, *, to: Preprocessing) -> np.ndarray:
        """Convert images that are normalised this way to another normalisation.

        Args:
            images: float32 (..., 3).
            to: the other preprocessing.
        """
        if (self.mean, self.std) == (to.mean, to.std):
            return images
        pixels = images.astype(np.float64) * self.std + self.mean
        return ((pixels - to.mean) / to.std).astype(np.float32)

    def to_dict(self) -> dict:
        """Return mean, std, resize and crop as JSON values, for a file's record."""
        return {"mean": list(self.mean), "std": list(self.std), "resize": self.resize, "crop": self.crop}

    @classmethod
    def from_dict(cls, record: Mapping) -> Preprocessing:
        """Create from `to_dict`; records without a crop belong to models that use whole images.

        Raises:
            ValueError: for a record without mean and std, or with impossible values.
        """
        if not isinstance(record, Mapping) or not {"mean", "std"} <= record.keys():
            raise ValueError(f"expected mean and std, three numbers each, got {record!r}")
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{"resize": cls.crop} | {name: value for name, value in record.items() if name in known})


IMAGENET_PREPROCESSING = Preprocessing()  # paper: "Training Strategy"
# For a model whose files record none: ImageNet's statistics, and the whole image.
ASSUMED_PREPROCESSING = Preprocessing(resize=Preprocessing.crop)


def read_preprocessing(source: str | os.PathLike) -> Preprocessing | None:
    """Return the preprocessing that a model's own files record, None if they record none. Loads no TensorFlow.

    A folder records it in training.json, which also holds for the model.keras beside it. Any other .keras or
    .weights.h5 file has it in its record, see `read_weights_record`.

    Args:
        source: a trained model's folder, or a weights file.

    Raises:
        ModelFileError: if the record is damaged, or lacks mean and std.
    """
    path = local_copy(source)
    if path.is_dir():
        path = path / "model.keras"
    if path.name == "model.keras" and (training := read_training(path.parent)) is not None:
        return _of_training(training, path.parent / "training.json")
    if not path.is_file() or not path.name.endswith(WEIGHTS_SUFFIXES):
        return None
    record = read_weights_record(path)
    try:
        return None if record is None else Preprocessing.from_dict(record.get("preprocessing"))
    except ValueError as error:
        raise ModelFileError(f"{path}: its record is damaged: {error}") from error


def describe_assumption(path: str | os.PathLike) -> str:
    """Return the sentence for a model for which `read_preprocessing` found nothing."""
    return (
        f"{os.fspath(path)} does not record how its images are normalised: assuming ImageNet's mean and standard "
        "deviation"
    )


def _of_training(training: Mapping, path: Path) -> Preprocessing:
    data = training.get("data")
    try:
        if not isinstance(data, Mapping) or not {"mean", "std"} <= data.keys():
            raise ValueError("it has no mean and std")
        # Older records have no crop_share: evaluation followed the augmentation.
        share = IMAGENET_PREPROCESSING.crop_share if data.get("augment") == "inception" else 1.0
        return Preprocessing.from_settings(mean=data["mean"], std=data["std"], crop_share=data.get("crop_share", share))
    except ValueError as error:
        raise ModelFileError(f"{path} does not record how images are normalised: in data, {error}") from error


def preprocess_input(x, data_format: str | None = None):
    """Normalise RGB pixels, 0..255, to (x / 255 - mean) / std, as keras.applications does.

    The mean and std are those of IMAGENET_PREPROCESSING.

    Args:
        x: array or tensor (B, H, W, 3) or (H, W, 3), of integers or floats. A float array is changed in-place.
        data_format: "channels_last" or "channels_first"; default: Keras's.

    Returns:
        The same kind of array or tensor, in Keras's float dtype if x holds integers.
    """
    import keras
    from keras.applications import imagenet_utils

    if not isinstance(x, np.ndarray) and "float" not in keras.backend.standardize_dtype(x.dtype):
        x = keras.ops.cast(x, keras.config.floatx())  # Keras does this for arrays, but not for tensors
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="torch")
