"""Paths with a scheme: which are remote, what files do there, and what is tried again."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import flaky
import pytest

from scarlet_tf.committed import IncompleteError, is_committed, read_committed, write_committed
from scarlet_tf.files import (
    check_contains,
    check_new_folder,
    check_output_file,
    check_run_folder,
    expand_user,
    locked_folder,
    replaced_whole,
    write_atomically,
)
from scarlet_tf.paths import RemoteError, as_path, check_local, is_remote, local_copy, nearest_path, no_such
from scarlet_tf.remote import RemotePath

RUN = "flaky://bucket/run"


@pytest.mark.parametrize("text", ["runs/a", "/runs/a", "~/a", "a:b", "folder:flaky", "C:/a", "://a"])
def test_paths_without_a_scheme_are_local(text):
    assert not is_remote(text) and as_path(text) == Path(text) and local_copy(text) == Path(text)


def test_a_missing_path_is_told_with_the_nearest_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/small/model.keras", "runs/smell/other", "data/train/0/a.jpg"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_bytes(b"")
    assert no_such("runs/small/modle.keras") == (
        "no such file: runs/small/modle.keras, nearest is runs/small/model.keras"
    )
    # A name that is more alike is passed over if the rest of the path is not in it.
    assert nearest_path("runs/smel/model.keras") == ", nearest is runs/small/model.keras"
    assert nearest_path(tmp_path / "date") == f", nearest is {tmp_path}/data"
    for path in ("absent", "runs/small/zebra.tflite", "runs", "runs/small/model.keras/a", "memory://bucket/runz", ""):
        assert nearest_path(path) == ""
    assert no_such("absent", what="file or folder") == "no such file or folder: absent"


def test_a_remote_path_keeps_its_slashes_and_is_taken_apart_like_a_local_one():
    path = as_path("memory://bucket/a/b.json")
    assert str(path) == os.fspath(path) == "memory://bucket/a/b.json" and (path.name, path.suffix) == (
        "b.json",
        ".json",
    )
    assert str(path.parent / "c") == "memory://bucket/a/c" and str(path.with_name("d")) == "memory://bucket/a/d"
    assert as_path(path) == path == as_path(str(path)) and isinstance(path.parent, RemotePath)
    assert expand_user(str(path)) == path.resolve() == path


def test_files_and_folders(flaky_store):
    folder = as_path(RUN)
    assert not folder.exists() and not folder.is_dir() and not folder.is_file()
    (folder / "sub" / "a.txt").write_bytes(b"one")
    (folder / "b.txt").write_bytes(b"three")
    assert folder.is_dir() and not folder.is_file() and (folder / "b.txt").is_file()
    assert {path.name for path in folder.iterdir()} == {"sub", "b.txt"}
    assert folder.find() == {"sub/a.txt": 3, "b.txt": 5}
    assert (folder / "b.txt").read_text() == "three"
    copy = local_copy(folder)
    assert copy.name == "run" and (copy / "sub" / "a.txt").read_bytes() == b"one"
    assert local_copy(f"{RUN}/b.txt").read_bytes() == b"three" and local_copy(folder) == copy
    (folder / "b.txt").unlink()
    (folder / "b.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (folder / "b.txt").unlink()
    folder.rmtree()
    assert not folder.exists()


def test_a_folders_name_is_no_pattern():
    """For fsspec's `rm`, "run[1]" is "run1", and "*" everything."""
    bucket = as_path("memory://names")
    for name in ("run1", "run[1]", "run*", "runs"):
        (bucket / name / "checkpoints" / "x").write_bytes(b"x")
    for name in ("run[1]", "run*"):
        (bucket / name).rmtree()
    (bucket / "absent").rmtree()
    assert {path.name for path in bucket.iterdir()} == {"run1", "runs"}
    assert bucket.find() == {"run1/checkpoints/x": 1, "runs/checkpoints/x": 1}
    bucket.rmtree()
    with pytest.raises(ValueError, match="memory://a::b: expected a path without '::'"):
        as_path("memory://a::b")


def test_a_file_system_with_folders_gets_those_below_the_first(tmp_path, flaky_store):
    flaky_store.folders = True
    path = as_path(f"{RUN}/a/b/c.txt")
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: 'flaky://bucket/run'"):
        path.write_bytes(b"x")  # a bucket is never made
    as_path("flaky://bucket").mkdir(parents=True, exist_ok=True)
    assert not (tmp_path / "store" / "bucket").exists()
    (tmp_path / "store" / "bucket").mkdir()
    path.write_bytes(b"x")
    assert (tmp_path / "store" / "bucket" / "run" / "a" / "b" / "c.txt").read_bytes() == b"x"
    path.parent.mkdir(exist_ok=True)
    with pytest.raises(FileExistsError):
        path.parent.mkdir()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "gz://bucket/a",
            r"^gz://bucket/a: unknown scheme 'gz': expected gs, s3 or .* of fsspec's, nearest is 'gs'$",
        ),
        (
            "file:///runs/a",
            r"^file:///runs/a: expected a bucket or host after file://, or a local path without a scheme$",
        ),
        ("tos://bucket/a", r"^tos://bucket/a: .*[Ii]nstall"),
    ],
)
def test_schemes_that_cannot_be_used_are_named(text, message):
    with pytest.raises(ValueError, match=message):
        as_path(text)


def test_a_listing_is_complete_though_some_calls_fail(flaky_store):
    expected = {f"{folder}/{number}.txt": number for folder in "abcd" for number in range(3)}
    for name, size in expected.items():
        as_path(f"{RUN}/{name}").write_bytes(b"x" * size)
    flaky_store.read = 0.3
    for _ in range(20):
        assert as_path(RUN).find() == expected
    assert flaky_store.happened["read"] > 20


def test_what_fails_for_a_while_is_tried_again(flaky_store, monkeypatch):
    path = as_path(f"{RUN}/a.txt")
    flaky_store.read = flaky_store.write = 0.3
    for number in range(50):
        path.write_bytes(b"%d" % number)
        assert path.read_bytes() == b"%d" % number and path.is_file()
    assert flaky_store.happened.keys() == {"read", "write"}
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr("scarlet_tf.remote.PAUSES", (0.5, 1.0, 2.0, 4.0))
    flaky_store.read = 1.0
    for call in (path.read_bytes, path.exists, path.unlink, lambda: list(path.parent.iterdir())):
        pauses.clear()
        with pytest.raises(RemoteError, match=r"TimeoutError: the store does not answer \(tried 5 times\)") as error:
            call()
        assert error.value.errno == errno.EIO and pauses == [0.5, 1.0, 2.0, 4.0]


def test_what_will_not_change_is_not_tried_again(flaky_store, monkeypatch):
    calls = []

    def refuse(self, path, **_):
        calls.append(path)
        raise PermissionError("403 Forbidden")

    monkeypatch.setattr(flaky.FlakyFileSystem, "cat_file", refuse)
    with pytest.raises(PermissionError, match=r"403 Forbidden: 'flaky://bucket/run/a'"):
        as_path(f"{RUN}/a").read_bytes()
    assert len(calls) == 1


def test_committed_files_are_whole_or_missing(tmp_path, flaky_store):
    for path in (f"{RUN}/a.json", tmp_path / "a.json"):
        assert not is_committed(path)
        write_committed(path, b"first")
        write_committed(path, b"second")
        assert read_committed(path) == b"second" and is_committed(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "store"]
    (tmp_path / "store" / "bucket" / "run" / "a.json").write_bytes(b"sec")
    with pytest.raises(IncompleteError, match=r"^it has 3 bytes, and its marker says 6$"):
        read_committed(f"{RUN}/a.json")
    assert not is_committed(f"{RUN}/a.json")


def test_results_are_written_and_paths_are_checked_there(flaky_store, tmp_path, capsys):
    write_atomically(f"{RUN}/page.html", "text")
    write_atomically(f"{RUN}/data.bin", lambda file: file.write(b"data"))
    with replaced_whole(f"{RUN}/model.keras") as temporary:
        assert temporary.name == "model.keras"
        temporary.write_bytes(b"model")
    folder = tmp_path / "store" / "bucket" / "run"
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {"page.html": b"text", "data.bin": b"data", "model.keras": b"model"}
    check_contains(RUN, "page.html", what="page")
    with pytest.raises(FileNotFoundError, match=rf"no supernet in {RUN}: it has no config.json"):
        check_contains(RUN, "config.json", what="supernet")
    check_run_folder(RUN)
    check_output_file(f"{RUN}/new.html")
    with pytest.raises(IsADirectoryError):
        check_output_file(RUN)
    with pytest.raises(NotADirectoryError):
        check_run_folder(f"{RUN}/page.html")
    with pytest.raises(ValueError, match=rf"^{RUN}/new: expected a local path, because TensorFlow"):
        check_new_folder(f"{RUN}/new")
    assert {path.name for path in folder.iterdir()} == found.keys()  # the trial files are gone
    flaky_store.write = 1.0
    with pytest.raises(RemoteError, match=r"connection lost"):
        check_run_folder(RUN)
    with locked_folder(RUN):
        pass
    warning = f"warning: {RUN} cannot be locked (remote file systems have no locks): make sure that no other run writes"
    assert capsys.readouterr().err == f"{warning} to it\n"


def test_check_local_says_why():
    check_local("runs/a", why="it is local")
    with pytest.raises(ValueError, match=r"^gs://b/a: expected a local path, because it moves$"):
        check_local("gs://b/a", why="it moves")


def test_local_paths_load_nothing_for_remote_ones():
    program = "import sys, scarlet_tf.files, scarlet_tf.committed; print({'fsspec', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    program = "import sys; from scarlet_tf.paths import *; as_path('memory://a'); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
