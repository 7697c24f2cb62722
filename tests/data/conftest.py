import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from scarlet_tf.data import DataConfig, dataset, open_dataset

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def write_folder(root, *, train=8, test=3, size=(20, 24)):
    """An image folder of one colour a class, in PNG and JPEG; image number n has brightness 100 + 10 n."""
    for split, count in (("train", train), ("test", test)):
        for name, colour in COLOURS.items():
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                pixels = np.full((*size, 3), 100 + 10 * n, np.float64) * np.array(colour) / 255
                image = tf.constant(pixels.astype(np.uint8))
                encoded, end = (tf.io.encode_png(image), "png") if n % 2 else (tf.io.encode_jpeg(image), "jpg")
                (root / split / name / f"{n}.{end}").write_bytes(encoded.numpy())
    return root


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "pictures")


@pytest.fixture(scope="session")
def fashion_mnist():
    from scarlet_tf.data import prepare_fashion_mnist

    return prepare_fashion_mnist()


class ToyPictures(tfds.core.GeneratorBasedBuilder):
    """Images of 12x12 by number: image n has the value n in every pixel, and label n % 2."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(shape=(12, 12, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 26), "test": self._generate_examples(100, 104)}

    def _generate_examples(self, first, end):
        for n in range(first, end):
            yield n, {"image": np.full((12, 12, 3), n, np.uint8), "label": n % 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Folders of the data by format."""
    folders = {}
    for form in ("tfrecord", "array_record"):
        folders[form] = tmp_path_factory.mktemp(form)
        tfds.builder("toy_pictures", data_dir=folders[form], file_format=form).download_and_prepare()
    return folders


@pytest.fixture
def pictures(prepared, monkeypatch):
    """Open the pictures by format, streamed."""
    monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 0)
    config = {"name": "toy_pictures", "image_size": 12, "search_validation": 2}
    return lambda form, **more: open_dataset(DataConfig(**config, data_dir=prepared[form], **more))
