"""One run a folder: the lock, who holds it, and what happens on odd file systems and disks."""

import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from scarlet_tf import files
from scarlet_tf.files import FolderInUseError, check_free, check_run_folder, locked_folder, write_atomically

_HOLD = """
import sys, time
from scarlet_tf.files import locked_folder
with locked_folder(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of tmp_path/run."""
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_refused_by_name_and_a_killed_one_is_not_in_the_way(tmp_path, holder):
    message = rf"run is in use by process {holder.pid} on .*: wait until it ends"
    with pytest.raises(FolderInUseError, match=message), locked_folder(tmp_path / "run"):
        raise AssertionError
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / ".lock").exists()
    with locked_folder(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / ".lock").read_text())["pid"] == os.getpid()
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"[1]"])
def test_a_holder_that_cannot_be_read_is_another_process(tmp_path, content):
    with locked_folder(tmp_path):
        (tmp_path / ".lock").write_bytes(content)
        with pytest.raises(FolderInUseError, match="is in use by another process"), locked_folder(tmp_path):
            raise AssertionError
        with pytest.raises(FolderInUseError, match="is in use by another process"):
            check_free(tmp_path)
    check_free(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lock_is_released_after_an_error_and_leaves_no_empty_folder(tmp_path):
    with pytest.raises(KeyError), locked_folder(tmp_path / "a" / "run"):
        raise KeyError
    assert not (tmp_path / "a" / "run").exists()
    with locked_folder(tmp_path / "a" / "run"):
        (tmp_path / "a" / "run" / "result").touch()
    assert [path.name for path in (tmp_path / "a" / "run").iterdir()] == ["result"]


def test_a_lock_file_that_is_removed_meanwhile_is_not_taken_for_the_lock(tmp_path, monkeypatch):
    """The holder ends between this process's opening of the file and its locking it."""
    flock, removed = fcntl.flock, []

    def late(descriptor, operation):
        if not removed:
            removed.append((tmp_path / ".lock").unlink())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked_folder(tmp_path):
        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(FolderInUseError), locked_folder(tmp_path):
            raise AssertionError


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, capsys, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked_folder(tmp_path):
        pass
    warning = capsys.readouterr().err
    assert (
        warning
        == f"warning: {tmp_path} cannot be locked ({os.strerror(code)}): make sure that no other run writes to it\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_is_only_read_is_not_locked(tmp_path, monkeypatch, code):
    def refuse(path, *_):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(files.os, "open", refuse)
    with locked_folder(tmp_path):
        pass


def test_an_output_that_cannot_be_a_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file: expected a folder"):
        check_run_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        check_run_folder(tmp_path / "file" / "run")
    check_run_folder(tmp_path / "new" / "run")
    (tmp_path / "images" / "train").mkdir(parents=True)
    with pytest.raises(FileExistsError, match=r"images is an image folder \(it has train/\): choose another run"):
        check_run_folder(tmp_path / "images")
    monkeypatch.setattr(files.os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(PermissionError, match="no permission to write to the folder"):
        check_run_folder(tmp_path)


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    """The kernel's own limit on the size of files stands for the disk's."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "a").write_text("before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError) as text:
            write_atomically(tmp_path / "a", "x" * 100_000)
        with pytest.raises(OSError) as arrays:
            write_atomically(tmp_path / "b", lambda file: np.savez(file, x=np.arange(10_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(e.value.errno, e.value.filename) for e in (text, arrays)] == [
        (errno.EFBIG, str(tmp_path / name)) for name in ("a", "b")
    ]
    assert (tmp_path / "a").read_text() == "before" and len(list(tmp_path.iterdir())) == 1
