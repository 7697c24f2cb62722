"""Rows of batches that are made apart, and sources whose elements are read in any order."""

import time
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.data import DataConfig, DataError, dataset, decoding, named_source, open_dataset, streamed
from scarlet_tf.data.order import batches_of_numbers

FORMATS = ("tfrecord", "array_record")


def values(data, batches):
    """Return the numbers of images, by batch; without augmentation."""
    grays = [images.numpy()[:, 0, 0, 0] * data.std[0] + data.mean[0] for images, _ in batches]
    return [np.round(255 * gray).astype(int).tolist() for gray in grays]


def joined(lists):
    return [value for one in lists for value in one]


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("augment", ["none", "flips", "flip_crop", "inception"])
@pytest.mark.parametrize("form", [*FORMATS, "memory"])
def test_workers_together_make_the_global_batch(pictures, monkeypatch, form, augment, workers):
    if form == "memory":
        monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 1_000_000)
    data = pictures("tfrecord" if form == "memory" else form, augment=augment)
    assert isinstance(data, streamed.StreamedImages) == (form != "memory" or augment == "inception")
    how = {"seed": 3, "start_step": 2}
    whole = [(x.numpy(), y.numpy()) for x, y in data.train_batches(8, **how).take(3)]
    share = 8 // workers
    parts = [
        list(data.train_batches(8, **how, rows=slice(first, first + share)).take(3)) for first in range(0, 8, share)
    ]
    for step, (images, labels) in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[step][0] for part in parts]), images)
        np.testing.assert_array_equal(np.concatenate([part[step][1] for part in parts]), labels)


def count_decoded(monkeypatch) -> list[int]:
    """Return a list that gets the number of each image that is decoded."""
    decoded, decode = [], decoding._decode

    def counted(encoded, *, channels):
        image = decode(encoded, channels=channels)
        with tf.control_dependencies([tf.py_function(lambda x: decoded.append(int(x)), [image[0, 0, 0]], [])]):
            return tf.identity(image)

    monkeypatch.setattr(decoding, "_decode", counted)
    return decoded


@pytest.mark.parametrize("form", FORMATS)
def test_only_own_rows_are_decoded(pictures, monkeypatch, form):
    data = pictures(form)
    batches = values(data, data.train_batches(8, seed=0).take(40))
    own_rows = [batch[2:4] for batch in batches]
    decoded = count_decoded(monkeypatch)
    assert values(data, data.train_batches(8, seed=0, rows=slice(2, 4)).take(12)) == own_rows[:12]
    # In any order, and some batches ahead: what is decoded lies between twelve batches' own rows and forty's.
    decoded = Counter(decoded)
    assert Counter(joined(own_rows[:12])) <= decoded <= Counter(joined(own_rows))
    assert decoded.total() < 12 * 8  # whole batches


def test_array_record_is_read_in_any_order(pictures, monkeypatch):
    read, records = [], named_source.ArrayRecordSource.at

    def watched(source, split):
        at = records(source, split)

        def elements(numbers):
            tf.py_function(lambda wanted: read.append(wanted.numpy().tolist()), [numbers], [])
            return at(numbers)

        return elements

    monkeypatch.setattr(named_source.ArrayRecordSource, "at", watched)
    data = pictures("array_record")
    whole = values(data, data.train_batches(8, seed=0).take(7))
    assert sorted(joined(whole[:3])) == sorted(joined(whole[3:6])) and whole[:3] != whole[3:6]
    read.clear()
    assert values(data, data.train_batches(8, seed=0, start_step=5).take(2)) == whole[5:]
    assert len(read[0]) == 8  # the first thing read is the batch that is due
    assert values(data, data.train_batches(8, seed=0, start_step=10**9).take(1)) != whole[:1]


@pytest.mark.parametrize("form", FORMATS)
def test_both_formats_hold_the_same(pictures, form):
    data = pictures(form)
    assert data.num_examples == {"train": 24, "search_validation": 2, "test": 4}
    assert data.class_counts("train").sum() == 24
    (images,) = values(data, data.eval_batches("test", 4))
    assert sorted(images) == [100, 101, 102, 103]
    splits = [data.eval_batches(split, 5) for split in ("train", "search_validation")]
    assert sorted(joined(joined(values(data, split) for split in splits))) == list(range(26))


@pytest.mark.parametrize("rows", [slice(3, 3), slice(0, 8, 2), slice(9, 12)])
def test_rows_that_are_none(pictures, rows):
    with pytest.raises(DataError, match="rows must be neighbours in a batch of 8, got slice"):
        pictures("tfrecord").train_batches(8, seed=0, rows=rows)


def test_a_late_step_is_reached_at_once():
    """Step 100,000 of ImageNet's training."""
    start = time.perf_counter()
    order = batches_of_numbers(np.arange(1_281_167), seed=0, first_step=100_000, batch_size=256, rows=slice(0, 64))
    numbers, step = next(iter(order))
    assert time.perf_counter() - start < 20  # 1 here; reading 20 epochs takes hours
    assert int(step) == 100_000 and numbers.shape == (64,) and len(set(numbers.numpy().tolist())) == 64


@pytest.mark.parametrize("form", FORMATS)
def test_small_sets_of_both_formats_are_held_in_memory(prepared, form):
    data = open_dataset(DataConfig(name="toy_pictures", image_size=12, data_dir=prepared[form]))
    assert not isinstance(data, streamed.StreamedImages)
    ((images, labels),) = data.eval_batches("test", 4)
    numbers = np.round(255 * (images.numpy()[:, 0, 0, 0] * data.std[0] + data.mean[0])).astype(int)
    assert sorted(numbers) == [100, 101, 102, 103] and (numbers % 2 == labels.numpy()).all()


@pytest.mark.parametrize("form", [*FORMATS, "memory"])
def test_shards_are_every_so_many_batches(pictures, monkeypatch, form):
    if form == "memory":
        monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 1_000_000)
    data = pictures("tfrecord" if form == "memory" else form)
    for split, limit in (("train", 19), ("train", None), ("test", None)):
        whole = values(data, data.eval_batches(split, 3, limit=limit))
        for count in (2, 3):
            shards = [data.eval_batches(split, 3, limit=limit, shard=(k, count)) for k in range(count)]
            # A shard of no batch is not asked for: there are four images to test.
            found = [values(data, shard) for shard in shards[: len(whole)]]
            assert found == [whole[k::count] for k in range(count)][: len(whole)]


@pytest.mark.parametrize("form", FORMATS)
def test_only_a_shards_own_images_are_decoded(pictures, monkeypatch, form):
    decoded = count_decoded(monkeypatch)
    data = pictures(form)
    own = values(data, data.eval_batches("train", 3, limit=20, shard=(1, 3)))
    assert [len(batch) for batch in own] == [3, 3] and sorted(decoded) == sorted(joined(own))
