"""Writing files whole, and where they can be written."""

import os

import pytest

from scarlet_tf.files import require_new_folder, require_place, write_atomically

REQUIRE = (require_place, require_new_folder)


def test_missing_folders_are_made_when_the_file_is_written(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    require_place(path)
    assert not list(tmp_path.iterdir())
    write_atomically(path, "text")
    assert path.read_text() == "text" and [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("require", REQUIRE)
@pytest.mark.parametrize("place", ["file/x", "file/a/x"])
def test_nothing_is_written_below_a_file(require, place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=f"{place} cannot be written: .*/file is not a folder"):
        require(tmp_path / place)


@pytest.mark.parametrize("require", REQUIRE)
def test_nor_where_it_is_not_allowed(require, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # which says yes to root
    with pytest.raises(PermissionError, match=f"no permission to write to the folder {tmp_path}$"):
        require(tmp_path / "a" / "x")


def test_what_is_there_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    require_new_folder(tmp_path / "folder")
    with pytest.raises(IsADirectoryError, match="folder is a folder"):
        require_place(tmp_path / "folder")
    (tmp_path / "folder" / "file").touch()
    require_place(tmp_path / "folder" / "file")
    with pytest.raises(FileExistsError, match="folder exists and is not an empty folder"):
        require_new_folder(tmp_path / "folder")
