"""The set of garment pairs: what is drawn, and that it opens as any dataset does."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.garment_pairs import drawing, pairs_builder
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.data.data_config import default_data_dir

SQUARE = np.zeros((28, 28), np.uint8)
SQUARE[9:19, 9:19] = 200
DARK = SQUARE // 2


def test_both_garments_are_there_and_in_order():
    apart = []
    for seed in range(200):
        image = drawing.draw_pair(SQUARE, DARK, np.random.default_rng(seed))
        assert image.shape == (48, 48) and image.dtype == np.uint8
        bright, dark = image > 150, (image > 60) & (image < 130)
        upper, lower = ndimage.center_of_mass(bright), ndimage.center_of_mass(dark)
        if bright.sum() > 40 and dark.sum() > 60:  # neither is mostly hidden
            apart.append(lower[0] - upper[0])
        for row, column in (upper, lower):
            assert 9 < row < 38 and 9 < column < 38
    assert len(apart) > 100 and min(apart) > 0


def test_a_garment_has_its_scale_angle_and_place():
    image = drawing._placed(SQUARE, scale=1.2, angle=np.pi / 4, centre=[20.0, 30.0])
    assert ndimage.center_of_mass(image) == pytest.approx((20.0, 30.0), abs=0.02)
    assert image.sum() == pytest.approx(1.44 * SQUARE.sum(), rel=0.02)
    rows, columns = np.nonzero(image > 100)
    assert np.ptp(rows) == pytest.approx(12 * 2**0.5, abs=1.5) and np.ptp(columns) == pytest.approx(
        12 * 2**0.5, abs=1.5
    )


def test_the_front_hides_the_back():
    white, gray = np.full((28, 28), 255, np.uint8), np.full((28, 28), 64, np.uint8)
    for seed in range(20):
        one, other = (drawing.draw_pair(*pair, np.random.default_rng(seed)) for pair in ((white, gray), (gray, white)))
        inside = ndimage.binary_erosion(one > 0, iterations=3)
        both = one.astype(int)[inside] + other[inside]
        assert np.mean(both == 255 + 64) > 0.85  # the rest are edges, where the front's is half transparent
        assert set(np.unique(one[inside])) >= {64, 255}


@pytest.mark.slow
def test_the_set_opens_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs_builder, "NUM_EXAMPLES", {"train": 300, "test": 100})
    (tmp_path / "fashion_mnist").symlink_to(default_data_dir() / "fashion_mnist")
    pairs_builder.prepare_garment_pairs(tmp_path)
    data = open_dataset(DataConfig(name="garment_pairs", image_size=48, search_validation=50, data_dir=tmp_path))
    assert data.num_classes == 100 and data.class_names[17] == "trouser, sneaker"
    assert data.num_examples == {"train": 250, "search_validation": 50, "test": 100}
    (images, labels) = data.arrays("test")
    assert images.shape == (100, 48, 48, 3) and len(set(labels)) > 40
    pairs_builder.draw_examples(tmp_path, tmp_path / "pairs.png")
    assert (tmp_path / "pairs.png").stat().st_size > 5000
