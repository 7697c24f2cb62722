"""Writing files whole, and where they can be written."""

import os

import pytest

from scarlet_tf.files import check_new_folder, check_output_file, write_atomically

CHECKS = (check_output_file, check_new_folder)


def test_missing_folders_are_made_when_the_file_is_written(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    check_output_file(path)
    assert not list(tmp_path.iterdir())
    write_atomically(path, "text")
    assert path.read_text() == "text" and [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("place", ["file/x", "file/a/x"])
def test_nothing_is_written_below_a_file(check, place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=f"{place} cannot be written: .*/file is not a folder"):
        check(tmp_path / place)


@pytest.mark.parametrize("check", CHECKS)
def test_nor_where_it_is_not_allowed(check, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # which says yes to root
    with pytest.raises(PermissionError, match=f"no permission to write to the folder {tmp_path}$"):
        check(tmp_path / "a" / "x")


def test_what_is_there_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    check_new_folder(tmp_path / "folder")
    with pytest.raises(IsADirectoryError, match="folder is a folder"):
        check_output_file(tmp_path / "folder")
    (tmp_path / "folder" / "file").touch()
    check_output_file(tmp_path / "folder" / "file")
    with pytest.raises(FileExistsError, match="folder exists and is not an empty folder"):
        check_new_folder(tmp_path / "folder")
