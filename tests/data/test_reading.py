"""How images are read: by how many threads, from a cache, as pixels or normalised. It changes no batch."""

import os
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.data import DataConfig, DataError, dataset, decoding, encoded_cache, open_dataset

PICTURES = 24


def arrays(batches):
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


def assert_equal(some, others):
    for (images, labels), (their_images, their_labels) in zip(some, others, strict=True):
        np.testing.assert_array_equal(images, their_images)
        np.testing.assert_array_equal(labels, their_labels)


@pytest.fixture
def open_folder(folder, monkeypatch):
    """Open the image folder, 24 training images, streamed."""
    monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 0)
    return lambda **more: open_dataset(DataConfig(name=f"folder:{folder}", image_size=16, **more))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("augment", ["none", "flips", "flip_crop", "inception"])
@pytest.mark.parametrize("name", ["folder", "fashion_mnist"])
def test_normalised_pixels_are_the_batches(folder, fashion_mnist, monkeypatch, name, augment, in_memory):
    if not in_memory:
        monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 0)
    config = DataConfig(name=f"folder:{folder}" if name == "folder" else name, image_size=32, augment=augment)
    data, how = open_dataset(config), {"seed": 1, "start_step": 2}
    pixels = list(data.train_pixels(6, **how).take(2))
    assert {(images.dtype, images.shape[1:]) for images, _ in pixels} == {
        (tf.uint8, (32, 32, 1 if name == "fashion_mnist" else 3))
    }
    in_a_step = tf.function(data.normalise)
    normalised = [(in_a_step(images).numpy(), labels.numpy()) for images, labels in pixels]
    assert_equal(normalised, arrays(data.train_batches(6, **how).take(2)))


@pytest.fixture
def busy(monkeypatch):
    """A list of how many images were being decoded each time that one more began."""
    decode, lock, running, seen = decoding._decode, threading.Lock(), [], []

    def wait(image):
        with lock:
            running.append(image)
            seen.append(len(running))
        time.sleep(0.02)
        with lock:
            running.pop()
        return image

    def slow(encoded, *, channels):
        image = decode(encoded, channels=channels)
        return tf.ensure_shape(tf.numpy_function(wait, [image], tf.uint8), (None, None, channels))

    monkeypatch.setattr(decoding, "_decode", slow)
    return seen


@pytest.mark.parametrize("workers", [1, 4])
def test_no_more_than_input_workers_decode_at_once(open_folder, busy, workers):
    data = open_folder(input_workers=workers)
    batches = arrays(data.train_batches(8, seed=0).take(6))
    assert max(busy) == workers  # also more than this machine has cores
    busy.clear()
    list(data.eval_batches("train", 8))
    list(data.sample_batches(8, limit=PICTURES))
    assert len(busy) == 2 * PICTURES and max(busy) == workers
    assert_equal(batches, arrays(open_folder().train_batches(8, seed=0).take(6)))


def test_input_workers_decode_what_is_held_in_memory(folder, busy):
    data = open_dataset(DataConfig(name=f"folder:{folder}", image_size=16, input_workers=2, skip_damaged=True))
    list(data.train_batches(8, seed=0).take(1))
    assert len(busy) >= PICTURES and max(busy) == 2


@pytest.mark.parametrize("in_memory", [True, False])
def test_tensorflow_does_not_tune_the_pipeline(folder, monkeypatch, in_memory):
    """Closing an iterator would wait for the thread that tunes it, up to a minute."""
    if not in_memory:
        monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 0)
    data = open_dataset(DataConfig(name=f"folder:{folder}", image_size=16))
    for batches in (data.train_pixels(8, seed=0), data.train_batches(8, seed=0), data.eval_batches("train", 8).take(1)):
        assert batches.dataset.options().autotune.enabled is False


@pytest.mark.parametrize("value", [0, 1.5])
def test_input_workers_that_are_none(value):
    with pytest.raises(DataError, match=f"input_workers must be an integer >= 1, got {value}"):
        DataConfig(name="fashion_mnist", image_size=32, input_workers=value)


def spoil(folder, *, secretly=True):
    """Replace the training images of a folder by zeros: names and sizes stay, `secretly` also times."""
    for path in list((folder / "train").rglob("*.*")):
        before, zeros = path.stat(), folder / "zeros"
        zeros.write_bytes(bytes(before.st_size))
        if secretly:
            os.utime(zeros, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.replace(zeros, path)  # at once: an epoch may be read ahead


@pytest.mark.parametrize("augment", ["none", "inception"])
@pytest.mark.parametrize("where", ["memory", "folder"])
def test_the_second_epoch_reads_nothing(open_folder, folder, tmp_path, where, augment):
    where = "memory" if where == "memory" else str(tmp_path / "cache")
    expected = arrays(open_folder(augment=augment).train_batches(8, seed=0).take(6))
    data = open_folder(augment=augment, cache=where)
    batches = iter(data.train_batches(8, seed=0))
    first = [next(batches) for _ in range(3)]
    spoil(folder)
    assert_equal(arrays([*first, *(next(batches) for _ in range(3))]), expected)
    assert_equal(arrays(data.train_batches(8, seed=0, start_step=4).take(2)), expected[4:])
    if where == "memory":
        return
    resumed = open_folder(augment=augment, cache=where)  # the next process has the folder
    assert_equal(arrays(resumed.train_batches(8, seed=0, start_step=1).take(5)), expected[1:])
    rows = {"rows": slice(2, 4)}
    own = [(images[2:4], labels[2:4]) for images, labels in expected]
    assert_equal(arrays(resumed.train_batches(8, seed=0, **rows).take(6)), own)
    spoil(folder, secretly=False)
    with pytest.raises(DataError, match="cannot be decoded"):
        list(open_folder(augment=augment, cache=where).train_batches(8, seed=0).take(1))


def test_records_are_read_once(pictures, monkeypatch):
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    read, get = [], ArrayRecordDataSource.__getitems__

    def slowly(self, numbers):
        read.extend(numbers)
        time.sleep(0.05)  # so that batches that are read at the same time overlap
        return get(self, numbers)

    monkeypatch.setattr(ArrayRecordDataSource, "__getitems__", slowly)
    expected = arrays(pictures("array_record").train_batches(8, seed=0).take(9))
    assert len(read) >= 9 * 8
    read.clear()
    data = pictures("array_record", cache="memory")
    assert_equal(arrays(data.train_batches(8, seed=0).take(9)), expected)
    assert len(read) == PICTURES == len(set(read))


def test_a_cached_image_that_was_cut_short_is_read_again(open_folder, tmp_path):
    data = open_folder(cache=str(tmp_path / "cache"))
    expected = arrays(data.eval_batches("train", 8))
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(files) == PICTURES
    sizes = {path: path.stat().st_size for path in files}
    for path in files[::2]:
        path.write_bytes(path.read_bytes()[:-1])
    assert_equal(arrays(data.eval_batches("train", 8)), expected)
    assert {path: path.stat().st_size for path in files} == sizes


def test_a_full_disk_leaves_the_images_uncached(open_folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoded_cache.os, "replace", full)
    data = open_folder(cache=str(tmp_path / "cache"))
    assert_equal(arrays(data.eval_batches("train", 8)), arrays(open_folder().eval_batches("train", 8)))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_caches_that_cannot_be(open_folder, pictures, monkeypatch):
    size = open_folder(cache="memory").encoded_bytes("train")
    monkeypatch.setattr(encoded_cache, "available_memory", lambda: size)  # too little with the test images
    with pytest.raises(
        DataError, match=r"--cache=memory needs 0.0 GB for the encoded images of 'folder:.* only 0.0 GB"
    ):
        open_folder(cache="memory")
    with pytest.raises(DataError, match=r"--cache=memory needs images .* but 'toy_pictures' is stored as TFRecord"):
        pictures("tfrecord", cache="memory")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", r"--cache='': expected memory or a folder"),
        ("Memory", r"--cache=Memory: .* nearest is 'memory'; for a new folder, ./Memory"),
        ("gs://bucket/images", r"--cache=gs://bucket/images: expected memory or a folder on a local disk"),
        ("file/images", r"--cache=file/images: expected memory or a folder, but /.*/file is a file"),
    ],
)
def test_a_cache_is_checked_before_images_are_listed(where, message, folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dataset, "open_source", lambda config: pytest.fail("images are listed"))
    with pytest.raises(DataError, match=message):
        open_dataset(DataConfig(name=f"folder:{folder}", image_size=16, cache=where))


def test_a_cache_that_cannot_be_written_to(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(
        DataError, match=rf"^--cache={tmp_path}/cache: no permission to write to the folder {tmp_path}$"
    ):
        encoded_cache.check_cache(str(tmp_path / "cache"))


def test_a_cache_of_what_is_held_in_memory_has_no_effect_and_that_is_said_once(folder, tmp_path, capsys):
    for _ in range(2):
        data = open_dataset(DataConfig(name=f"folder:{folder}", image_size=16, cache=str(tmp_path / "cache")))
        list(data.train_batches(8, seed=0).take(1))
    line = f"--cache={tmp_path}/cache has no effect: the decoded images of 'folder:{folder}' are held in memory\n"
    assert capsys.readouterr().err == line and not (tmp_path / "cache").exists()


def test_how_images_are_read_is_not_recorded():
    config = {"name": "fashion_mnist", "image_size": 32}
    assert DataConfig(**config, input_workers=2, cache="memory").to_dict() == DataConfig(**config).to_dict()
