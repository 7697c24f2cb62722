"""The trained network that comes with the project."""

from pathlib import Path

import numpy as np
import pytest

from scarlet_tf.arch import count
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.zoo import open_model

FOLDER = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"


def test_it_is_what_its_page_says():
    loaded = open_model(FOLDER)
    counts = count(loaded.spec)
    assert (counts.params, counts.madds) == (66_610, 1_092_032)
    assert {block.kernel_size for block in loaded.spec.blocks} >= {7}
    assert any(block.has_se for block in loaded.spec.blocks)
    assert loaded.training["test"]["top1"] == 0.9038
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


@pytest.mark.slow
def test_it_classifies_the_test_images():
    loaded = open_model(FOLDER)
    data = open_dataset(DataConfig(name="fashion_mnist", image_size=32))
    images, labels = data.arrays("test", limit=2000)
    right = np.asarray(loaded.model(images)).argmax(-1) == labels
    assert right.mean() == pytest.approx(0.9038, abs=0.02)
