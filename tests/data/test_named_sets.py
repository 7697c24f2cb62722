from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from forked import ForkedProcess

from scarlet_tf.data import DataConfig, DataError, default_data_dir, open_dataset
from scarlet_tf.data import fashion_mnist as fm

ROOT = Path(__file__).parents[2]


class ToyStripes(tfds.core.GeneratorBasedBuilder):
    """Gray 10x10 images, image n of value n, label n % 2; the test split is called validation."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(shape=(10, 10, 1)), "label": tfds.features.ClassLabel(num_classes=2)}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 12), "validation": self._generate_examples(100, 104)}

    def _generate_examples(self, first, end):
        for n in range(first, end):
            yield n, {"image": np.full((10, 10, 1), n, np.uint8), "label": n % 2}


class ToyNumbers(tfds.core.GeneratorBasedBuilder):
    """Not images."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({"number": np.int64}))

    def _split_generators(self, dl_manager):
        return {"train": iter([(0, {"number": 1})]), "test": iter([(0, {"number": 1})])}

    def _generate_examples(self):
        raise NotImplementedError


def test_a_named_set_is_prepared_and_read(tmp_path):
    config = DataConfig(name="toy_stripes", image_size=12, data_dir=tmp_path, search_validation=4)
    data = open_dataset(config)
    assert data.num_examples == {"train": 8, "search_validation": 4, "test": 4}
    values = {}
    for split in data.num_examples:
        (images, labels), *rest = data.eval_batches(split, 12)
        gray = (images.numpy()[:, 6, 6, 0] * data.std[0] + data.mean[0]) * 255
        assert not rest and (gray.round().astype(int) % 2 == labels.numpy()).all()
        assert (
            np.abs((images.numpy()[:, 0, 0] * data.std + data.mean) * 255).max() < 1e-3
        )  # zero padding, before normalising
        values[split] = set(gray.round().astype(int).tolist())
    assert values["test"] == {100, 101, 102, 103}
    assert values["train"] | values["search_validation"] == set(range(12))
    again = open_dataset(config)  # this time from the decoded copy
    for (x, y), (x_again, y_again) in zip(data.eval_batches("train", 3), again.eval_batches("train", 3), strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)


def test_a_damaged_decoded_copy_is_made_again(tmp_path):
    config = DataConfig(name="toy_stripes", image_size=12, data_dir=tmp_path)
    before = [y.numpy().tolist() for _, y in open_dataset(config).eval_batches("test", 4)]
    (copy,) = tmp_path.glob("toy_stripes/.decoded_*/test_12.npz")
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    assert [y.numpy().tolist() for _, y in open_dataset(config).eval_batches("test", 4)] == before
    assert len(copy.read_bytes()) == len(whole)


def test_a_set_that_is_not_image_classification_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"'toy_numbers' is not for image classification: its features are \['number'\]"
    ):
        open_dataset(DataConfig(name="toy_numbers", image_size=32, data_dir=tmp_path))


def test_default_data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("SCARLET_TF_DATA", str(tmp_path))
    assert default_data_dir() == tmp_path
    monkeypatch.delenv("SCARLET_TF_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_data_dir() == tmp_path / "cache" / "scarlet_tf" / "datasets"


def test_fashion_mnist_is_complete_and_needs_no_download(fashion_mnist):
    train, test = tfds.load("fashion_mnist", split=["train", "test"], data_dir=fashion_mnist.parents[1], download=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    data = open_dataset(DataConfig(name="fashion_mnist", image_size=32, search_validation=5000))
    assert data.num_examples == {"train": 55_000, "search_validation": 5_000, "test": 10_000}
    assert data.class_names[0] == "T-shirt/top" and data.num_classes == 10
    labels, sums = [], []
    for images, some in data.eval_batches("test", 1000):
        labels += some.numpy().tolist()
        sums.append(images.numpy().mean())
    assert np.bincount(labels).tolist() == [1000] * 10
    pixel = np.mean(sums) * data.std[0] + data.mean[0]
    assert pixel * (32 / 28) ** 2 == pytest.approx(0.2868, abs=1e-3)  # mean of the test pixels


def test_preparing_again_changes_nothing(fashion_mnist):
    before = {file: file.stat().st_mtime_ns for file in fashion_mnist.iterdir()}
    assert fm.prepare_fashion_mnist() == fashion_mnist
    assert {file: file.stat().st_mtime_ns for file in fashion_mnist.iterdir()} == before


def test_a_changed_archive_is_refused(tmp_path, monkeypatch):
    import gzip

    for name in fm._FILES:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(b"other"))
    monkeypatch.setattr(fm, "INSTALLED", tmp_path)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: expected content with SHA-256 c59f468a"):
        fm.prepare_fashion_mnist(tmp_path / "data")
    assert not (tmp_path / "data" / "fashion_mnist").exists()


def test_without_any_source_both_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fm, "_debian_files", lambda work: None)

    def no_network(self, **_):
        raise OSError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", no_network)
    with pytest.raises(DataError, match=r"neither from Debian's package 'dataset-fashion-mnist'.*no route to host"):
        fm.prepare_fashion_mnist(tmp_path)


@pytest.mark.slow
def test_the_tool_says_where_the_set_is(fashion_mnist, tmp_path):
    process = ForkedProcess([ROOT / "tools" / "prepare_fashion_mnist.py"], cwd=tmp_path)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert output.splitlines()[-1].endswith(f"is ready in {fashion_mnist}")
