"""Image datasets from tensorflow-datasets or folders, as deterministic, resumable batches.

TensorFlow is imported when `open_dataset` or `ImageData` is first used.
"""

from scarlet_tf.data.classes import DataWarning
from scarlet_tf.data.data_config import DataConfig, DataError, check_image_folder, default_data_dir
from scarlet_tf.data.fashion_mnist import prepare_fashion_mnist
from scarlet_tf.data.imagenet import imagenet_disk_need, prepare_imagenet
from scarlet_tf.lazy import later

__getattr__ = later(
    __name__, {"scarlet_tf.data.dataset": ("open_dataset",), "scarlet_tf.data.image_data": ("ImageData",)}
)

__all__ = [
    "DataConfig",
    "DataError",
    "DataWarning",
    "ImageData",
    "check_image_folder",
    "default_data_dir",
    "imagenet_disk_need",
    "open_dataset",
    "prepare_fashion_mnist",
    "prepare_imagenet",
]
