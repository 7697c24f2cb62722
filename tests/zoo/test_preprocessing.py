"""How a model wants its images: as data, and what its files say of it."""

import json

import numpy as np
import pytest

from scarlet_tf import zoo
from scarlet_tf.data.source import statistics_of
from scarlet_tf.zoo import ASSUMED_PREPROCESSING, IMAGENET_PREPROCESSING, ModelFileError, Preprocessing
from scarlet_tf.zoo.files import add_weights_record

OWN = Preprocessing(mean=(0.9, 0.1, 0.5), std=(0.05, 0.3, 1.2), resize=224)


def test_images_are_converted_between_normalisations():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3)).astype(np.float32)
    normalised = ((pixels.astype(np.float64) / 255 - OWN.mean) / OWN.std).astype(np.float32)
    taken = OWN.of_pixels()
    # float32 holds a normalised pixel to 2^-24 of it, at most 18.2; times std * 255 that is a part of a pixel.
    np.testing.assert_allclose(OWN.convert(normalised, to=taken), pixels, atol=2**-24 * 18.2 * 1.2 * 255 + 2**-16)
    np.testing.assert_allclose(taken.convert(pixels, to=OWN), normalised, rtol=2**-22, atol=2**-22)
    assert OWN.convert(normalised, to=OWN) is normalised


@pytest.mark.parametrize("preprocessing", [OWN, IMAGENET_PREPROCESSING, OWN.of_pixels()])
def test_records_and_data_settings_give_it_back(preprocessing):
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing
    assert Preprocessing.from_settings(**preprocessing.settings) == preprocessing


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": (0.5, 0.5)}, r"mean must be three numbers, got \(0.5, 0.5\)"),
        ({"mean": ("0.5",) * 3}, "mean must be three numbers"),
        ({"mean": (float("nan"), 0, 0)}, "mean must be three numbers"),
        ({"std": (0.5, 0, 0.5)}, r"std must be > 0, got \[0.5, 0.0, 0.5\]"),
        ({"resize": 200}, "1 <= crop <= resize, got 224, 200"),
        ({"channel_order": "BGR"}, "expected RGB pixels divided by 255, got 'BGR'"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**fields)


def write_folder(folder, training):
    folder.mkdir()
    (folder / "training.json").write_text(training if isinstance(training, str) else json.dumps(training))
    return folder


def test_a_folder_says_it_and_older_ones_by_their_augmentation(tmp_path):
    data = {"mean": [0.9, 0.1, 0.5], "std": [0.05, 0.3, 1.2], "augment": "inception"}
    old = write_folder(tmp_path / "old", {"data": data})
    assert zoo.read_preprocessing(old) == Preprocessing(mean=OWN.mean, std=OWN.std)  # the crop of 224 of 256
    new = write_folder(tmp_path / "new", {"data": data | {"crop_share": 1.0}})
    assert zoo.read_preprocessing(new) == OWN
    assert zoo.read_preprocessing(new / "model.keras") == OWN
    assert zoo.read_preprocessing("scarlet_a") is None


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ("{", "training.json: not JSON"),
        ("[]", "training.json: expected a JSON object, got list"),
        ({}, "training.json does not record how images are normalised: in data, it has no mean and std"),
        ({"data": {"mean": [0.5] * 3}}, "it has no mean and std"),
        ({"data": {"mean": [0.5] * 3, "std": [0.5]}}, r"std must be three numbers, got \[0.5\]"),
        ({"data": {"mean": [0.5] * 3, "std": [0.5] * 3, "crop_share": 2}}, r"crop_share must be in \(0, 1\], got 2"),
    ],
)
def test_damaged_folders_are_named(training, message, tmp_path):
    with pytest.raises(ModelFileError, match=message):
        zoo.read_preprocessing(write_folder(tmp_path / "m", training))


def test_weights_say_it_in_their_record(tmp_path):
    import h5py

    for name in ("said", "silent", "damaged"):
        h5py.File(tmp_path / f"{name}.weights.h5", "w").close()
    add_weights_record(tmp_path / "said.weights.h5", {"preprocessing": OWN.to_dict()})
    add_weights_record(tmp_path / "damaged.weights.h5", {"preprocessing": {"mean": [0.5] * 3}})
    assert zoo.read_preprocessing(tmp_path / "said.weights.h5") == OWN
    assert zoo.read_preprocessing(tmp_path / "silent.weights.h5") is None
    with pytest.raises(ModelFileError, match="its record is damaged: expected mean and std"):
        zoo.read_preprocessing(tmp_path / "damaged.weights.h5")


def test_statistics_of_named_sets():
    assert statistics_of("fashion_mnist:3.0.1") == ((0.286,) * 3, (0.353,) * 3)
    assert statistics_of("folder:cifar10") == (ASSUMED_PREPROCESSING.mean, ASSUMED_PREPROCESSING.std)
