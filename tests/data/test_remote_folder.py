"""Image folders on a remote file system: the same dataset as the local folder, and failures that are no damage."""

import os
import shutil

import flaky
import numpy as np
import pytest

from scarlet_tf.data import DataConfig, DataError, open_dataset
from scarlet_tf.data.folder import ImageFolder
from scarlet_tf.data.remote_folder import RemoteImageFolder
from scarlet_tf.paths import RemoteError


@pytest.fixture(autouse=True)
def faults(folder, tmp_path, flaky_store):
    """Of a store that has the images of `folder` too."""
    shutil.copytree(folder, tmp_path / "store" / "bucket" / "pictures")
    return flaky_store


REMOTE = "flaky://bucket/pictures"


def batches(name, **settings):
    data = open_dataset(DataConfig(name=f"folder:{name}", image_size=16, **settings))
    taken = list(data.train_batches(4, seed=1).take(8).as_numpy_iterator())
    return data, [*taken, *data.eval_batches("test", 4).as_numpy_iterator()]


@pytest.mark.parametrize("augment", ["none", "inception"])
def test_a_remote_folder_is_the_same_dataset(folder, faults, augment):
    faults.read = 0.1
    local, expected = batches(folder, augment=augment)
    remote, found = batches(REMOTE, augment=augment)
    assert remote.fingerprint == local.fingerprint and remote.class_names == local.class_names
    assert len(found) == len(expected) == 11 and faults.happened["read"] >= 1
    for (ours, our_labels), (theirs, their_labels) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(our_labels, their_labels)


def test_splits_classes_and_strays_are_those_of_a_local_folder(folder, tmp_path):
    for root in (folder, tmp_path / "store" / "bucket" / "pictures"):
        for name in (
            "train/stray.png",
            "train/.hidden/1.png",
            "train/red/.2.png",
            "train/red/in/3.png",
            "train/empty/a",
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"x" * len(name))
    local, remote = ImageFolder(folder), RemoteImageFolder(REMOTE)
    assert remote.splits == local.splits == ("train", "test")
    assert remote.strays("train") == local.strays("train") == ["stray.png"]
    assert remote.fingerprint == local.fingerprint
    for split in local.splits:
        relative = {name: [os.path.relpath(p, folder) for p in paths] for name, paths in local.classes(split).items()}
        assert {
            name: [p.removeprefix(f"{REMOTE}/") for p in paths] for name, paths in remote.classes(split).items()
        } == (relative)
        ours, theirs = remote.examples(split), local.examples(split)
        assert [name for _, name in ours] == [name for _, name in theirs]


@pytest.mark.parametrize("skip_damaged", [False, True])
def test_a_store_that_fails_is_no_damaged_image(faults, monkeypatch, skip_damaged):
    read = flaky.FlakyFileSystem.cat_file

    def fail(self, path, **how):
        if path.endswith("3.png"):
            raise TimeoutError("the store does not answer")
        return read(self, path, **how)

    monkeypatch.setattr(flaky.FlakyFileSystem, "cat_file", fail)
    with pytest.raises(RemoteError, match=r"the store does not answer \(tried 5 times\).*3.png"):
        data = open_dataset(DataConfig(name=f"folder:{REMOTE}", image_size=16, skip_damaged=skip_damaged))
        list(data.train_batches(4, seed=1).take(8))


def test_a_damaged_image_is_named(tmp_path):
    (tmp_path / "store" / "bucket" / "pictures" / "train" / "red" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=rf"image {REMOTE}/train/red/2.jpg in split 'train' of .* cannot be decoded"):
        batches(REMOTE)
    with pytest.warns(UserWarning, match=rf"1 damaged image: {REMOTE}/train/red/2.jpg"):
        data, _ = batches(REMOTE, skip_damaged=True)
    assert data.num_examples["train"] == 23


def test_missing_folders_and_stores_that_tensorflow_cannot_read_are_named():
    with pytest.raises(DataError, match=r"no image folder at flaky://bucket/nothing: expected"):
        open_dataset(DataConfig(name="folder:flaky://bucket/nothing", image_size=16))
    with pytest.raises(
        DataError, match=r"unknown dataset 'flaky://bucket/pictures': .* use 'folder:flaky://bucket/pic"
    ):
        open_dataset(DataConfig(name=REMOTE, image_size=16))
    with pytest.raises(DataError, match=r"^data_dir s3://bucket/tfds: TensorFlow .* local folders and gs:// alone"):
        open_dataset(DataConfig(name="cifar10", image_size=16, data_dir="s3://bucket/tfds"))
