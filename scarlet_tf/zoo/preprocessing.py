"""How a model wants its images: as data, as a function, and where each kind of model says it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.zoo.files import WEIGHTS_SUFFIXES, ModelFileError, read_training, read_weights_record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """RGB uint8 pixels -> float32 (x / divisor - mean) / std per channel; evaluation by resize and centre crop.

    Attributes:
        mean, std: of the pixels over 255, for each of three channels.
        resize, crop: the shorter side is resized to `resize` pixels, then a square of `crop` is cut from the middle;
            another resolution keeps their ratio. Where they are equal, the image is seen whole.

    Raises:
        ValueError: for values that no image can be prepared with.
    """

    channel_order: str = "RGB"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: int = 256
    crop: int = 224

    def __post_init__(self) -> None:
        if (self.channel_order, self.divisor) != ("RGB", 255.0):
            raise ValueError(f"expected RGB pixels over 255, got {self.channel_order!r} over {self.divisor!r}")
        for name in ("mean", "std"):
            values = np.asarray(getattr(self, name))
            if values.shape != (3,) or values.dtype.kind not in "if" or not np.isfinite(values).all():
                raise ValueError(f"{name} must be three numbers, got {getattr(self, name)!r}")
            object.__setattr__(self, name, tuple(map(float, values)))
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {list(self.std)}")
        if not all(type(side) is int for side in (self.resize, self.crop)) or not 1 <= self.crop <= self.resize:
            raise ValueError(f"crop and resize must be integers, 1 <= crop <= resize, got {self.crop}, {self.resize}")

    @property
    def crop_share(self) -> float:
        """Share of the shorter side that evaluation sees."""
        return self.crop / self.resize

    @property
    def settings(self) -> dict:
        """The fields of a `data.DataConfig` that prepare images this way."""
        return {"mean": self.mean, "std": self.std, "crop_share": self.crop_share}

    @classmethod
    def from_settings(cls, *, mean: Sequence[float], std: Sequence[float], crop_share: float) -> Preprocessing:
        """The reverse of `settings`; the crop is rounded to whole pixels."""
        if not isinstance(crop_share, (int, float)) or not 0 < crop_share <= 1:
            raise ValueError(f"crop_share must be in (0, 1], got {crop_share!r}")
        return cls(mean=mean, std=std, resize=round(cls.crop / crop_share))

    def of_pixels(self) -> Preprocessing:
        """Return what is left to do for a model that normalises pixels, 0..255, itself."""
        return dataclasses.replace(self, mean=(0.0,) * 3, std=(1.0 / 255.0,) * 3)

    def convert(self, images: np.ndarray, *, to: Preprocessing) -> np.ndarray:
        """Return images that are normalised this way as another model wants them.

        Args:
            images: float32 (..., 3).
        """
        if (self.mean, self.std) == (to.mean, to.std):
            return images
        pixels = images.astype(np.float64) * self.std + self.mean
        return ((pixels - to.mean) / to.std).astype(np.float32)

    def to_dict(self) -> dict:
        """Return mean, std, resize and crop, JSON-able, for a file's record."""
        return {"mean": list(self.mean), "std": list(self.std), "resize": self.resize, "crop": self.crop}

    @classmethod
    def from_dict(cls, record: Mapping) -> Preprocessing:
        """The reverse of `to_dict`; records without a crop are of models that see images whole.

        Raises:
            ValueError: for a record without mean and std, or with impossible values.
        """
        if not isinstance(record, Mapping) or not {"mean", "std"} <= record.keys():
            raise ValueError(f"expected mean and std, three numbers each, got {record!r}")
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{"resize": cls.crop} | {name: value for name, value in record.items() if name in known})


IMAGENET_PREPROCESSING = Preprocessing()  # paper: "Training Strategy"
# Of a model whose files say nothing: ImageNet's statistics, and the whole image.
ASSUMED_PREPROCESSING = Preprocessing(resize=Preprocessing.crop)


def read_preprocessing(source: str | os.PathLike) -> Preprocessing | None:
    """Return what a model's own files say of its images; None where they say nothing. Loads no TensorFlow.

    A folder says it in training.json, which counts for the model.keras beside it too; every other .keras or
    .weights.h5 file in its record, see `read_weights_record`.

    Args:
        source: a trained model's folder, or a file of weights.

    Raises:
        ModelFileError: where such a record is damaged, or lacks mean and std.
    """
    path = Path(source)
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
    """Return the sentence for a model that `read_preprocessing` found nothing about."""
    return (
        f"{os.fspath(path)} does not say how its images are normalised: ImageNet's mean and standard deviation "
        "are assumed"
    )


def _of_training(training: Mapping, path: Path) -> Preprocessing:
    data = training.get("data")
    try:
        if not isinstance(data, Mapping) or not {"mean", "std"} <= data.keys():
            raise ValueError("it has no mean and std")
        # Older records: evaluation followed the augmentation.
        share = IMAGENET_PREPROCESSING.crop_share if data.get("augment") == "inception" else 1.0
        return Preprocessing.from_settings(mean=data["mean"], std=data["std"], crop_share=data.get("crop_share", share))
    except ValueError as error:
        raise ModelFileError(f"{path} does not say how images are normalised: in data, {error}") from error


def preprocess_input(x, data_format: str | None = None):
    """(x / 255 - mean) / std of RGB pixels, 0..255, with IMAGENET_PREPROCESSING's numbers, as keras.applications does.

    Args:
        x: array or tensor (B, H, W, 3) or (H, W, 3), of integers or floats. A float array is changed in place.
        data_format: "channels_last" or "channels_first"; default Keras's.

    Returns:
        The same kind of array or tensor, in Keras's float type where x holds integers.
    """
    import keras
    from keras.applications import imagenet_utils

    if not isinstance(x, np.ndarray) and "float" not in keras.backend.standardize_dtype(x.dtype):
        x = keras.ops.cast(x, keras.config.floatx())  # as Keras does with arrays, and forgets with tensors
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="torch")
