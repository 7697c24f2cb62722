import numpy as np
import pytest
import tensorflow as tf

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
