"""ImageNet from miniature tars: prepared whole or not at all, resumed after a kill, and checked against the tars."""

import dataclasses
import io
import json
import re
import shutil
import time
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from forked import ForkedProcess
from miniature_imagenet import (
    CMYK,
    PNG,
    TRAIN,
    VALIDATION,
    classes,
    tar,
    training_images,
    validation_images,
    write_tars,
)
from PIL import Image

from scarlet_tf.data import DataConfig, DataError, imagenet_disk_need, open_dataset, prepare_imagenet
from scarlet_tf.data import imagenet_tars as module

TOOL = Path(__file__).parents[2] / "tools" / "prepare_imagenet.py"


@pytest.fixture(scope="module")
def train():
    return training_images()


@pytest.fixture(scope="module")
def tars(train, tmp_path_factory):
    return write_tars(tmp_path_factory.mktemp("imagenet") / "tars", train)


@pytest.fixture(scope="module")
def prepared(tars):
    """The folder of datasets, with ImageNet prepared."""
    assert prepare_imagenet(tars, tars.parent / "data") == {"train": 2000, "validation": 50}
    return tars.parent / "data"


def examples(data_dir, split):
    """(label, encoded image) by file name, in the order of the dataset."""
    records = tfds.data_source(
        "imagenet2012", data_dir=data_dir, split=split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    return {example["file_name"].decode(): (int(example["label"]), example["image"]) for example in records}


def test_every_image_is_stored_with_its_label(prepared, train):
    found, names = examples(prepared, "train"), classes()
    expected = {file: (label, image) for label, name in enumerate(names) for file, image in train[name].items()}
    assert {file: label for file, (label, _) in found.items()} == {file: label for file, (label, _) in expected.items()}
    assert {file for file in expected if found[file] != expected[file]} == {PNG, CMYK}
    for file in (PNG, CMYK):
        assert (
            Image.open(io.BytesIO(found[file][1])).format == "JPEG" and tf.io.decode_jpeg(found[file][1]).shape[-1] == 3
        )
    labels = tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt").read_text().split()
    validation = validation_images()
    expected = {file: (names.index(labels[n]), image) for n, (file, image) in enumerate(validation.items())}
    assert examples(prepared, "validation") == expected


def test_images_are_shuffled(prepared):
    labels = [label for label, _ in examples(prepared, "train").values()]
    assert len(set(labels[:100])) > 90  # 95 are expected of 1,000 classes with two images each


def test_splits_of_training_and_search(prepared):
    settings = {"image_size": 16, "search_validation": 300, "augment": "inception"}
    data = open_dataset(DataConfig(name="imagenet2012", data_dir=prepared, **settings))
    assert data.num_examples == {"train": 1700, "search_validation": 300, "test": 50}
    assert data.num_classes == 1000 and data.crop_share == 224 / 256
    images, labels = next(iter(data.train_batches(4, seed=0)))
    assert images.shape == (4, 16, 16, 3) and len(labels) == 4


def test_preparing_again_only_checks(prepared, tars):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.*")}
    assert len(before) > 9
    prepare_imagenet(tars, prepared, check_images=0)
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*.*")} == before


@pytest.mark.slow
def test_a_kill_loses_only_the_file_being_written(tars, prepared, tmp_path):
    command = [TOOL, f"--tars={tars}", f"--data_dir={tmp_path}"]
    unfinished, whole = tmp_path / "imagenet2012" / "unfinished-5.1.0", {}
    for _ in range(2):
        process = ForkedProcess(command)
        end = time.monotonic() + 120
        while len(list(unfinished.glob("imagenet2012-*"))) < len(whole) + 2:
            assert process.poll() is None and time.monotonic() < end, process.communicate(1)
            time.sleep(0.002)
        process.kill()
        process.communicate(60)
        with pytest.raises(DataError, match=r"is not in .*: prepare it by tools/prepare_imagenet.py"):
            open_dataset(DataConfig(name="imagenet2012", image_size=16, data_dir=tmp_path))
        assert not (tmp_path / "imagenet2012" / "5.1.0").exists()
        found = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("imagenet2012-*")}
        assert len(found) < 9 and found.items() >= whole.items()
        whole = found
    aside = unfinished / ".imagenet2012-train.array_record-00007-of-00008.abc"
    aside.mkdir(exist_ok=True)
    (unfinished / ".tars.json.abc.tmp").touch()
    output, errors = ForkedProcess(command).communicate(120)
    assert output.splitlines()[-1] == "ImageNet, 2000 training and 50 validation images, is ready", errors
    dataset = tmp_path / "imagenet2012" / "5.1.0"
    assert not unfinished.exists() and not list(dataset.glob(".*"))
    assert {name: (dataset / name).stat().st_mtime_ns for name in whole} == whole
    for split in ("train", "validation"):
        assert list(examples(tmp_path, split).items()) == list(examples(prepared, split).items())


def without(images, name):
    return {key: value for key, value in images.items() if key != name}


@pytest.mark.parametrize("name", [TRAIN, VALIDATION])
def test_a_tar_that_is_cut_short(name, tars, tmp_path):
    cut = shutil.copytree(tars, tmp_path / "tars")
    (cut / name).write_bytes((tars / name).read_bytes()[:-20_000])
    with pytest.raises(DataError, match=rf"{name} is not a whole tar \(.*\): copy or download it again"):
        prepare_imagenet(cut, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("imagenet2012-*"))


def test_a_tar_that_is_cut_between_two_classes(tars, tmp_path):
    cut = shutil.copytree(tars, tmp_path / "tars")
    content = (tars / TRAIN).read_bytes()
    (cut / TRAIN).write_bytes(content[: content.index(b"n15075141.tar")])
    with pytest.raises(DataError, match=r"img_train.tar is not a whole tar \(its end is missing\)"):
        prepare_imagenet(cut, tmp_path / "data")


def test_a_tar_of_a_class_that_is_cut_short(train, tars, tmp_path):
    inner = {f"{name}.tar": tar(images) for name, images in train.items()}
    inner["n01443537.tar"] = inner["n01443537.tar"][:3000]
    cut = shutil.copytree(tars, tmp_path / "tars")
    (cut / TRAIN).write_bytes(tar(inner))
    with pytest.raises(DataError, match=r"n01443537.tar in .*img_train.tar is not a whole tar"):
        prepare_imagenet(cut, tmp_path / "data")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda train, val: (without(train, "n01440764"), val), "lacks 1 of 1000 classes, such as n01440764.tar"),
        (lambda train, val: (train | {"n00000001": {}}, val), "n00000001.tar is no class of ImageNet"),
        (
            lambda train, val: (train, without(val, "ILSVRC2012_val_00000007.JPEG")),
            "lacks 1 images, such as ILSVRC2012_val_00000007.JPEG",
        ),
        (lambda train, val: (train, val | {"readme.txt": b""}), "readme.txt is no validation image"),
    ],
)
def test_a_tar_with_other_files(change, message, train, tmp_path):
    write_tars(tmp_path / "tars", *change(train, validation_images()))
    with pytest.raises(DataError, match=message):
        prepare_imagenet(tmp_path / "tars", tmp_path / "data")


def test_a_tar_of_the_real_size_has_the_real_number_of_images(tars, tmp_path, monkeypatch):
    real = module.PublishedTar(TRAIN, (tars / TRAIN).stat().st_size, 2001)
    monkeypatch.setitem(module.PUBLISHED, "train", real)
    with pytest.raises(DataError, match=r"img_train.tar is damaged: expected 2,001 images, found 2,000"):
        prepare_imagenet(tars, tmp_path / "data")


def fewer(train):
    return train | {"n01440764": without(train["n01440764"], "n01440764_2.JPEG")}


def moved(train):
    return fewer(train) | {
        "n01443537": train["n01443537"] | {"n01440764_2.JPEG": train["n01440764"]["n01440764_2.JPEG"]}
    }


def swapped(train):
    first, second = train["n01440764"].values()
    return train | {"n01440764": dict(zip(train["n01440764"], (second, first), strict=True))}


@pytest.mark.parametrize(
    ("change", "sample", "message"),
    [
        (fewer, 0, "train has 2,000 images, and .*img_train.tar 1,999"),
        (moved, 0, "train has 2 images of n01440764, and .*img_train.tar 1"),
        (swapped, 3000, r"n01440764_\d.JPEG is not the image in .*img_train.tar"),
    ],
)
def test_a_dataset_that_does_not_agree_with_the_tars(change, sample, message, prepared, train, tmp_path, call_tool):
    write_tars(tmp_path / "tars", change(train))
    done = call_tool(
        "prepare_imagenet", "--tars=tars", f"--data_dir={prepared}", f"--check_images={sample}", cwd=tmp_path
    )
    (line,) = [line for line in done.stderr.splitlines() if "warning" not in line]
    assert done.returncode == 2 and re.search(message, line), line


def test_an_image_that_does_not_decode_leaves_the_dataset_unfinished(train, tmp_path):
    broken = train | {"n01440764": train["n01440764"] | {"n01440764_1.JPEG": b"no image"}}
    write_tars(tmp_path / "tars", broken)
    with pytest.raises(DataError, match=r"n01440764_1.JPEG in .*img_train.tar cannot be decoded"):
        prepare_imagenet(tmp_path / "tars", tmp_path / "data", check_images=3000)
    assert not (tmp_path / "data" / "imagenet2012" / "5.1.0").exists()
    write_tars(tmp_path / "tars", train)
    with pytest.raises(DataError, match=r"unfinished-5.1.0 was begun from other tars: use those, or delete it"):
        prepare_imagenet(tmp_path / "tars", tmp_path / "data")


def test_a_damaged_file_of_the_dataset(prepared, tars, tmp_path):
    data = shutil.copytree(prepared, tmp_path / "data")
    path = data / "imagenet2012" / "5.1.0" / "imagenet2012-train.array_record-00003-of-00008"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{path.name} is damaged .*delete the folder and prepare it again"):
        prepare_imagenet(tars, data)


def test_a_dataset_in_another_format(prepared, tars, tmp_path):
    data = shutil.copytree(prepared, tmp_path / "data")
    path = data / "imagenet2012" / "5.1.0" / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fileFormat": "tfrecord"}))
    with pytest.raises(DataError, match="holds ImageNet as tfrecord, which is read in one order only"):
        prepare_imagenet(tars, data)


def test_disk_need_is_known_beforehand(tars, prepared, tmp_path, monkeypatch):
    size = sum(path.stat().st_size for path in tars.iterdir())
    free = dataclasses.make_dataclass("Usage", ["free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free(size))
    assert imagenet_disk_need(tars, tmp_path / "new" / "data").startswith(
        f"{tmp_path}/new/data/imagenet2012 takes 0.01 GB, of which 0.00 GB are written; "
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free(size - 1))
    with pytest.raises(DataError, match=r"not enough disk: .* takes 0.01 GB"):
        imagenet_disk_need(tars, tmp_path / "data")
    assert imagenet_disk_need(tars, prepared).endswith("is prepared already and takes no more disk")
    files = list(prepared.glob("imagenet2012/5.1.0/*.array_record-*"))
    assert sum(path.stat().st_size for path in files) < size
    (tmp_path / "data" / "imagenet2012" / "unfinished-5.1.0").mkdir(parents=True)
    shutil.copy(files[0], tmp_path / "data" / "imagenet2012" / "unfinished-5.1.0")
    imagenet_disk_need(tars, tmp_path / "data")  # what is written is not needed again
