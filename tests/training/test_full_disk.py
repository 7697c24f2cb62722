"""A run that finds the disk full, or its folder taken, says so in one line and resumes later."""

import errno
import json
import os

import numpy as np
import pytest

from scarlet_tf.files import FolderInUseError, locked_folder
from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE
from scarlet_tf.search.run import search_into
from scarlet_tf.training import folder


@pytest.fixture
def flags(runs, pictures, tmp_path):
    runs.tiny_spec().save(tmp_path / "spec.json")
    return ["--model=spec.json", f"--dataset=folder:{pictures}", "--output=run", "--epochs=1", "--batch_size=12"]


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def one_line(done, tool="train", *, code=2):
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"{tool}.py: ")
    return line.removeprefix(f"{tool}.py: ")


@pytest.mark.slow
def test_a_disk_that_fills_up_is_said_with_what_is_saved(flags, tmp_path, call_tool, monkeypatch):
    """At the second checkpoint and at the result; then there is room again, and the run is finished."""
    savez, calls = np.savez, []

    def sometimes(*arguments, **arrays):
        calls.append(None)
        full() if len(calls) == 2 else savez(*arguments, **arrays)

    monkeypatch.setattr("numpy.savez", sometimes)
    checkpoint = "run/checkpoints/checkpoint-0000000004.npz"
    line = one_line(call_tool("train", *flags, "--checkpoint_every=2", cwd=tmp_path))
    assert line == f"{checkpoint}: No space left on device; run/checkpoints is saved up to step 2 of 4"
    with monkeypatch.context() as patch:
        patch.setattr(folder, "draw_curves", full)
        line = one_line(call_tool("train", *flags, cwd=tmp_path))
    assert line == "run/curves.png: No space left on device; run/checkpoints is saved up to step 4 of 4"
    assert not (tmp_path / "run" / "training.json").exists()
    assert call_tool("train", *flags, cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "run" / "training.json").read_text())["steps"] == 4
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.name[0] == ".") == []


@pytest.mark.slow
def test_a_run_beside_another_is_refused(flags, tmp_path, call_tool):
    """By every tool that trains into a folder, at once; a finished result is given out all the same."""
    with locked_folder(tmp_path / "run"):
        refused = call_tool("train", *flags, cwd=tmp_path)
        assert refused.stdout == "" and len(refused.stderr.splitlines()) == 1
        code = TRY_AGAIN_EXIT_CODE  # the other run may end
        assert one_line(refused, code=code).startswith(f"run is in use by process {os.getpid()} on ")
        images = [flags[1], "--search_validation=0"]
        supernet = ["--space=small", "--steps=1", "--batch_size=8", "--paths=0", "--output=run", *images]
        assert "run is in use" in one_line(
            call_tool("train_supernet", *supernet, cwd=tmp_path), "train_supernet", code=code
        )
        figure = ["--figure=4", "--output=run", *images]
        assert "run is in use" in one_line(call_tool("reproduce", *figure, cwd=tmp_path), "reproduce", code=code)
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert call_tool("train", *flags, cwd=tmp_path).returncode == 0
    with locked_folder(tmp_path / "run"):
        again = call_tool("train", *flags, cwd=tmp_path)
        assert again.returncode == 0 and "nothing was trained" in again.stdout


def test_a_search_beside_another_is_refused_before_anything_is_written(tmp_path):
    with locked_folder(tmp_path), pytest.raises(FolderInUseError):
        search_into(tmp_path, None, None, None)
