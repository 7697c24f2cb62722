"""Test images of a dataset, preprocessed as the record of a .tflite file says."""

from __future__ import annotations

import os

import numpy as np

from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.export.verify import ExportError
from scarlet_tf.tflite.record import read_record
from scarlet_tf.tflite.runtime import open_interpreter
from scarlet_tf.zoo.preprocessing import Preprocessing


def labelled_images(
    path: str | os.PathLike, *, dataset: str, data_dir: str | os.PathLike | None = None, limit: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a dataset's test images, preprocessed as a .tflite file's record says, and their labels.

    Args:
        path: a .tflite file that this package exported.
        dataset: a tensorflow-datasets name or folder:PATH.
        data_dir: data folder of tensorflow-datasets.
        limit: number of images, from the first; None for all.

    Returns:
        float32 images (n, H, W, C) and int labels (n,), which are indices of the file's outputs; None for the labels if
        the record does not name the classes.

    Raises:
        ExportError: if the file's record does not say how images are prepared.
        ValueError: as `open_dataset`; TFLiteFileError for a damaged file.

    Example:
        >>> images, labels = labelled_images("int8.tflite", dataset="fashion_mnist", limit=500)
    """
    record = read_record(path) or {}
    try:
        preprocessing = Preprocessing.from_dict(record["input"])
    except KeyError:
        raise ExportError(
            f"{path} does not record how its images are prepared: export it with tools/export_tflite.py"
        ) from None
    except ValueError as error:
        raise ExportError(f"{path}: its record is damaged: {error}") from error
    _, height, width, _ = open_interpreter(path).get_input_details()[0]["shape"].tolist()
    config = DataConfig(name=dataset, image_size=(height, width), data_dir=data_dir, **preprocessing.settings)
    data = open_dataset(config, splits=["test"])
    images, labels = data.arrays("test", limit=limit)
    if class_names := record.get("class_names"):
        return images, data.outputs_of("test", class_names)[labels]
    return images, None
