import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.data import DataConfig, DataError, dataset, open_dataset


def opened(folder, **changes):
    return open_dataset(DataConfig(**{"name": f"folder:{folder}", "image_size": 16, "search_validation": 6} | changes))


def batches(data, count, **how):
    return [(x.numpy(), y.numpy()) for x, y in data.train_batches(4, **({"seed": 1} | how)).take(count)]


def same(first, second):
    return all(
        np.array_equal(a, b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True)
    )


@pytest.fixture(params=["none", "flips", "flip_crop", "inception", "streamed flips", "streamed flip_crop"])
def any_data(request, folder, monkeypatch):
    *streamed, augment = request.param.split()
    if streamed:
        monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 0)
    return opened(folder, augment=augment)


def test_counts_classes_and_element_types(any_data):
    assert any_data.num_examples == {"train": 18, "search_validation": 6, "test": 9}
    assert any_data.class_names == ["blue", "green", "red"] and any_data.num_classes == 3
    images, labels = next(iter(any_data.train_batches(4, seed=0)))
    assert images.shape == (4, 16, 16, 3) and images.dtype == tf.float32
    assert labels.shape == (4,) and labels.dtype == tf.int32
    sizes = [len(labels) for _, labels in any_data.eval_batches("test", 4)]
    assert sizes == [4, 4, 1]
    assert sum(len(labels) for _, labels in any_data.eval_batches("test", 4, limit=6)) == 6


def test_any_start_step_gives_the_elements_of_an_uninterrupted_run(any_data):
    whole = batches(any_data, 11)  # 4 batches an epoch
    for start in (1, 4, 6, 9):
        assert same(batches(any_data, 11 - start, start_step=start), whole[start:])
    assert not same(batches(any_data, 4, seed=2), whole[:4])


@pytest.mark.parametrize("global_seed", [0, 7])
def test_the_process_global_seed_changes_nothing(any_data, global_seed):
    expected = batches(any_data, 5)
    tf.random.set_seed(global_seed)
    assert same(batches(any_data, 5), expected)


def test_every_epoch_is_another_permutation_of_the_training_images(folder):
    data = opened(folder, search_validation=0, augment="none")
    epochs = np.array([x[:, 8, 8] for x, _ in batches(data, 12)]).reshape(2, 24, 3)
    orders = [[tuple(pixel) for pixel in epoch] for epoch in epochs.round(4)]
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]
    assert len(set(orders[0])) == 24


def test_search_validation_is_held_out_of_train_by_the_seed(folder):
    def held_out(data):
        found = {}
        for split in ("train", "search_validation"):
            pixels = np.concatenate([x.numpy()[:, 8, 8] for x, _ in data.eval_batches(split, 5)])
            found[split] = {tuple(pixel) for pixel in pixels.round(4)}
        assert len(found["train"]) == 18 and len(found["search_validation"]) == 6
        assert not found["train"] & found["search_validation"]
        return found["search_validation"]

    assert held_out(opened(folder)) == held_out(opened(folder, augment="flip_crop"))
    assert held_out(opened(folder)) != held_out(opened(folder, seed=1))


def test_streaming_and_memory_agree(folder, monkeypatch):
    in_memory = opened(folder)
    monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 0)
    streamed = opened(folder)
    assert type(in_memory) is not type(streamed)
    for split in ("train", "search_validation", "test"):
        pairs = zip(in_memory.eval_batches(split, 4), streamed.eval_batches(split, 4), strict=True)
        for (x, y), (x_streamed, y_streamed) in pairs:
            np.testing.assert_array_equal(x, x_streamed)
            np.testing.assert_array_equal(y, y_streamed)


def test_labels_and_normalisation(folder):
    data = opened(folder, augment="none")
    for images, labels in data.eval_batches("test", 9):
        pixels = images.numpy() * np.array(data.std) + np.array(data.mean)
        strongest = pixels.mean(axis=(1, 2)).argmax(axis=1)
        assert (strongest == 2 - labels.numpy()).all()  # blue, green, red are channels 2, 1, 0
        assert pixels.min() > -0.01 and pixels.max() < 1.01
        assert pixels.max() == pytest.approx(120 / 255, abs=0.02)


def test_fingerprint_tells_images_splits_and_preprocessing_apart(folder):
    same_again = opened(folder).fingerprint
    assert opened(folder).fingerprint == same_again
    others = [{"seed": 1}, {"search_validation": 5}, {"augment": "flip_crop"}, {"image_size": 20}]
    assert len({same_again, *(opened(folder, **change).fingerprint for change in others)}) == 5
    (folder / "train" / "red" / "0.jpg").unlink()
    assert opened(folder).fingerprint != same_again


def test_a_moved_folder_keeps_its_fingerprint(folder):
    before = opened(folder).fingerprint
    assert opened(folder.rename(folder.with_name("moved"))).fingerprint == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size must be an integer >= 1, or two .* got 0"),
        ({"image_size": "32"}, "image_size must be an integer"),
        ({"search_validation": -1}, "search_validation must be an integer >= 0"),
        ({"search_validation": 24}, "must be smaller than the 24 training images .* got 24"),
        ({"augment": "flip"}, "unknown augment 'flip'.*nearest is 'flips'"),
        ({"name": "folder:"}, "dataset name must be"),
        ({"name": "folder:/does/not/exist"}, "no image folder at /does/not/exist"),
        ({"name": "/does/not/exist"}, "for an image folder, use 'folder:/does/not/exist'"),
        ({"name": "fashion_mnits"}, "unknown dataset 'fashion_mnits'.*nearest is 'fashion_mnist'"),
    ],
)
def test_bad_settings_are_named(folder, change, message):
    with pytest.raises(DataError, match=message):
        opened(folder, **change)


def test_a_folder_without_images_or_test_split_is_refused(tmp_path, folder):
    (tmp_path / "empty" / "train" / "red").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no train images in .*empty/train: expected .*empty/train/CLASS/\*\.jpg"):
        opened(tmp_path / "empty")
    (folder / "test").rename(folder / "exam")
    with pytest.raises(
        DataError, match=r"no test images in .*: expected .*/test/CLASS/.*found the folders \['exam', 'train'\]"
    ):
        opened(folder)


def test_a_damaged_image_is_named(folder):
    (folder / "train" / "red" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"red/1\.png in split 'train' .* cannot be decoded"):
        batches(opened(folder), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data: data.train_batches(19, seed=0), r"batch_size must be in 1\.\.18 .*got 19"),
        (lambda data: data.train_batches(0, seed=0), "batch_size must be in"),
        (lambda data: data.train_batches(4, seed=0, start_step=-1), "start_step must be >= 0"),
        (lambda data: data.eval_batches("valid", 4), "no images in split 'valid'"),
        (lambda data: data.eval_batches("test", 0), "batch_size and limit must be >= 1"),
    ],
)
def test_bad_requests_are_named(folder, call, message):
    with pytest.raises(DataError, match=message):
        call(opened(folder))


def test_a_share_of_every_class_is_held_out_for_validation(folder):
    """Of 8 images a class a quarter is 2; with 6 held out for a search already, of what those leave."""
    data = opened(folder, search_validation=0, validation=0.25)
    assert data.class_counts("validation").tolist() == [2, 2, 2]
    assert data.class_counts("train").tolist() == [6, 6, 6] and data.num_examples["train"] == 18
    seen = [{tuple(x[8, 8]) for x in data.arrays(split)[0]} for split in ("train", "validation")]
    assert not seen[0] & seen[1] and len(seen[0] | seen[1]) == 24
    both = opened(folder, validation=0.25)
    assert both.num_examples["search_validation"] == 6
    assert both.num_examples["train"] + both.num_examples["validation"] == 18
    assert (both.class_counts("validation") >= 1).all()


def test_validation_changes_the_fingerprint_and_its_absence_does_not(folder):
    plain, share, named = (opened(folder, search_validation=0, validation=value) for value in (None, 0.25, "test"))
    assert len({plain.fingerprint, share.fingerprint, named.fingerprint}) == 3
    assert "validation" not in plain.config.to_dict() and share.config.to_dict()["validation"] == 0.25
    np.testing.assert_array_equal(named.arrays("validation")[0], named.arrays("test")[0])


def test_a_class_with_one_image_keeps_it_for_training(folder):
    for path in sorted((folder / "train" / "red").iterdir())[1:]:
        path.unlink()
    data = opened(folder, search_validation=0, validation=0.9)
    assert data.class_counts("train").tolist() == [1, 1, 1]
    assert data.class_counts("validation").tolist() == [7, 7, 0]


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, float("nan"), 1, True, "", "train"])
def test_bad_validation_is_refused(value):
    with pytest.raises(DataError, match="validation must be a share of the training images between 0 and 1"):
        DataConfig(name="fashion_mnist", image_size=16, validation=value)


def test_a_split_for_validation_that_is_not_there_is_named(folder):
    with pytest.raises(DataError, match=r"unknown split for validation 'tset': expected one of \('test',\), nearest"):
        opened(folder, validation="tset")


@pytest.mark.parametrize("streamed", [False, True])
def test_sampled_batches_are_training_images_of_all_classes(folder, monkeypatch, streamed):
    """18 of 24 images in batches of at most 8: three of 6, no image twice, none held out."""
    if streamed:
        monkeypatch.setattr(dataset, "MEMORY_LIMIT_BYTES", 0)
    data = opened(folder)
    sampled = [batch.numpy() for batch in data.sample_batches(8, limit=1000)]
    assert [len(batch) for batch in sampled] == [6, 6, 6]
    images, labels = data.arrays("train")
    known = {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    found = [known.pop(image.tobytes()) for batch in sampled for image in batch]
    assert not known and found != sorted(found)
    assert sum(len(batch) for batch in data.sample_batches(8, limit=7)) == 7
