"""Which files of a folder are images, of which class; needs no TensorFlow, so images are empty files here."""

import os
import random
import warnings
from pathlib import Path

import pytest

from scarlet_tf.data import DataConfig, DataError
from scarlet_tf.data.folder import ImageFolder
from scarlet_tf.data.folder_source import FolderSource


def make(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def found(root, split="train"):
    """Relative paths by class."""
    classes = ImageFolder(root).classes(split)
    return {name: [os.path.relpath(path, root / split / name) for path in paths] for name, paths in classes.items()}


def test_hidden_names_are_neither_classes_nor_images_at_any_depth(tmp_path):
    make(tmp_path, "train/cat/1.jpg", "train/cat/._1.jpg", "train/.ipynb_checkpoints/1.jpg", "train/.stray.jpg")
    make(tmp_path, "train/cat/.ipynb_checkpoints/1-checkpoint.jpg", "train/cat/more/.2.png", ".git/cat/1.jpg")
    assert found(tmp_path) == {"cat": ["1.jpg"]}
    assert ImageFolder(tmp_path).splits == ("train",) and not ImageFolder(tmp_path).strays("train")


def test_hidden_files_do_not_change_the_fingerprint(tmp_path):
    make(tmp_path, "train/cat/1.jpg")
    before = ImageFolder(tmp_path).fingerprint
    make(tmp_path, "train/.DS_Store", "train/cat/.ipynb_checkpoints/1.jpg", "train/cat/Thumbs.db")
    assert ImageFolder(tmp_path).fingerprint == before
    make(tmp_path, "train/cat/2.jpg")
    assert ImageFolder(tmp_path).fingerprint != before


def test_suffixes_in_any_case_are_images_and_other_files_are_not(tmp_path):
    images = ["a.JPG", "b.Jpeg", "c.PNG", "d.bmp", "e.GIF", "f.webp", "g.tiff"]
    make(tmp_path, *(f"train/cat/{name}" for name in [*images, "Thumbs.db", "labels.csv", "jpg", "h.jpg.txt"]))
    assert found(tmp_path) == {"cat": images}


def test_images_in_sub_folders_belong_to_the_class(tmp_path):
    make(tmp_path, "train/cat/2019/may/1.jpg", "train/cat/2.jpg", "train/cat/x.jpg/3.png")
    assert found(tmp_path) == {"cat": ["2.jpg", "2019/may/1.jpg", "x.jpg/3.png"]}


def test_images_beside_class_folders_are_strays(tmp_path):
    make(tmp_path, "train/cat/1.jpg", "train/2.jpg", "train/readme.txt")
    assert ImageFolder(tmp_path).strays("train") == ["2.jpg"] and found(tmp_path) == {"cat": ["1.jpg"]}


def test_links_to_files_and_folders_are_followed(tmp_path):
    store = make(tmp_path / "store", "1.jpg", "dogs/2.jpg", "dogs/old/3.jpg")
    make(tmp_path / "set", "train/cat/own.jpg")
    (tmp_path / "set/train/cat/linked.jpg").symlink_to(store / "1.jpg")
    (tmp_path / "set/train/dog").symlink_to(store / "dogs")
    (tmp_path / "set/test").symlink_to(tmp_path / "set/train")
    expected = {"cat": ["linked.jpg", "own.jpg"], "dog": ["2.jpg", "old/3.jpg"]}
    assert found(tmp_path / "set") == found(tmp_path / "set", "test") == expected


def test_loops_of_links_end(tmp_path):
    make(tmp_path, "train/cat/1.jpg")
    (tmp_path / "train/cat/self").symlink_to(tmp_path / "train/cat")
    (tmp_path / "train/cat/up").symlink_to("..")
    (tmp_path / "train/all").symlink_to(tmp_path)
    (tmp_path / "train/cat/itself.jpg").symlink_to("itself.jpg")  # of which no file comes: a damaged image
    assert found(tmp_path) == {"all": [], "cat": ["1.jpg", "itself.jpg"]}


@pytest.mark.parametrize("link", ["test", "train/dog", "train/cat/more"])
def test_a_link_to_nothing_where_a_folder_may_be_is_named(link, tmp_path):
    make(tmp_path, "train/cat/1.jpg")
    (tmp_path / link).symlink_to("/not/there")
    with pytest.raises(DataError, match=rf"{link} is (a broken symbolic link to /not/there|not a folder)"):
        found(tmp_path)


def test_a_split_that_is_a_file_is_named(tmp_path):
    make(tmp_path, "train/cat/1.jpg", "test")
    with pytest.raises(DataError, match=r"/test is not a folder: expected .*/test/CLASS/"):
        ImageFolder(tmp_path)


def test_a_pipe_is_no_image(tmp_path):
    make(tmp_path, "train/cat/1.jpg")
    os.mkfifo(tmp_path / "train/cat/2.jpg")
    assert found(tmp_path) == {"cat": ["1.jpg"]}


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    """Root may read all folders, so the refusal is simulated."""
    make(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PermissionError, match="train/dog"):
        found(tmp_path)


@pytest.mark.parametrize("name", ["bicycle lane", "grüne Äpfel", "猫", "'quoted'", "-x", "100%"])
def test_class_names_are_any_text(name, tmp_path):
    make(tmp_path, f"train/{name}/1.jpg")
    assert found(tmp_path) == {name: ["1.jpg"]}


@pytest.mark.parametrize(
    ("name", "message"),
    [(b"caf\xe9", "must have a name in UTF-8: rename it"), (b"a\nb", "must have a name of one line")],
)
def test_class_names_that_no_label_file_can_hold_are_refused(name, message, tmp_path):
    make(tmp_path, f"train/{os.fsdecode(name)}/1.jpg")
    with pytest.raises(DataError, match=message):
        found(tmp_path)


def test_the_order_is_that_of_earlier_versions(tmp_path):
    """Of tensorflow-datasets' ImageFolder: sorted by class and path, then shuffled by the split's name."""
    names = [f"{label}/{n}.jpg" for label in ("b", "a") for n in (10, 9, 1)]
    make(tmp_path, *(f"train/{name}" for name in names))
    expected = [(str(tmp_path / "train" / name), name[0]) for name in sorted(names)]
    random.Random("train").shuffle(expected)
    assert ImageFolder(tmp_path).examples("train") == expected


def source(root, **changes):
    return FolderSource(DataConfig(name=f"folder:{root}", image_size=8, **changes))


@pytest.mark.parametrize("name", ["test", "validation", "val", "valid"])
def test_test_images_lie_in_the_first_split_of_that_kind(name, tmp_path):
    make(tmp_path, "train/cat/1.jpg", f"{name}/cat/1.jpg", f"{name}/cat/2.jpg", "exam/dog/1.jpg")
    assert source(tmp_path).num_examples("test") == 2 and source(tmp_path).class_names == ["cat"]


def test_a_class_folder_without_any_image_is_no_class(tmp_path):
    make(tmp_path, "train/cat/1.jpg", "test/cat/1.jpg", "train/dog/1.jpg", "test/dog/notes.txt")
    (tmp_path / "train/fish").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert source(tmp_path).class_names == ["cat", "dog"] and source(tmp_path).empty_classes == ["fish"]
        assert source(tmp_path).class_counts("test") == {"cat": 1}
