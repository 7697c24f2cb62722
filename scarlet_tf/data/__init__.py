"""Image sets from tensorflow-datasets or folders, as deterministic, resumable batches."""

from scarlet_tf.data.config import DataConfig, DataError, default_data_dir
from scarlet_tf.data.dataset import ImageData, open_dataset
from scarlet_tf.data.fashion_mnist import prepare_fashion_mnist

__all__ = ["DataConfig", "DataError", "ImageData", "default_data_dir", "open_dataset", "prepare_fashion_mnist"]
