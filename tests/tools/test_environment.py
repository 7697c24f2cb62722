"""Tools where the machine is set up otherwise: locale, home folder, names of folders, file limit, umask."""

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scarlet_tf.arch import get_space

TOOLS = Path(__file__).parents[2] / "tools"
SPEC = get_space("small").spec((3, 12, 1, 7, 11, 12), name="Überblick")


def draw(folder, *flags, **environment):
    """Run the one tool that needs no TensorFlow to give a result, in a process of its own."""
    command = [sys.executable, str(TOOLS / "draw.py"), "--model=spec.json", *flags]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    return subprocess.run(command, cwd=folder, env=alone | environment, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},  # text is ASCII
        {"LANG": "tr_TR.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"},
        {"TZ": "Asia/Kathmandu"},
    ],
    ids=["ascii", "turkish", "kathmandu"],
)
def test_a_spec_is_read_as_utf_8_everywhere(environment, tmp_path):
    SPEC.save(tmp_path / "spec.json")
    text = (tmp_path / "spec.json").read_text(encoding="utf-8")
    (tmp_path / "spec.json").write_text(text.replace("\\u00dc", "Ü"), encoding="utf-8")  # as an editor saves it
    done = draw(tmp_path, "--output=a.svg", **environment)
    assert done.returncode == 0, done.stderr.decode()
    assert "Überblick" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_what_the_terminal_cannot_show_is_escaped(tmp_path):
    script = tmp_path / "tool.py"
    script.write_text("from scarlet_tf.cli import run\nrun(lambda: print('caf\\u00e9 \\u2713'))\n")
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "caf\\xe9 \\u2713\n"), done.stderr


def test_folders_with_spaces_quotes_and_other_letters(tmp_path):
    folder = tmp_path / "a 'b' & ü $HOME"
    folder.mkdir()
    SPEC.save(folder / "spec.json")
    done = draw(folder, "--output=new folder/dessin é.svg")
    assert done.returncode == 0, done.stderr.decode()
    assert [path.name for path in (folder / "new folder").iterdir()] == ["dessin é.svg"]


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_files_have_the_users_mode(umask, mode, tmp_path):
    SPEC.save(tmp_path / "spec.json")
    before = os.umask(umask)
    try:
        done = draw(tmp_path, "--output=a.svg")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr.decode()
    assert stat.S_IMODE((tmp_path / "a.svg").stat().st_mode) == mode


def assert_one_line(done, naming):
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert naming in done.stderr


def test_a_home_that_cannot_be_written_is_named(tmp_path, call_tool, monkeypatch):
    monkeypatch.delenv("SCARLET_TF_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "home").touch()  # not even root can write below a file
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert_one_line(call_tool("prepare_fashion_mnist", cwd=tmp_path), f"{tmp_path}/home/.cache")


def test_a_user_without_a_home_is_told_what_to_set(tmp_path, call_tool, monkeypatch):
    """As a container's whose user is a bare number."""

    def unknown(_):
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "SCARLET_TF_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert_one_line(
        call_tool("prepare_fashion_mnist", cwd=tmp_path), "~/.cache: cannot expand ~, as no home folder is known"
    )
    done = call_tool("evaluate", "--model=scarlet_a", "--dataset=folder:~nobody-here/images", cwd=tmp_path)
    assert_one_line(done, "~nobody-here/images: cannot expand ~, as no home folder is known")


def test_more_images_than_files_may_be_open(tmp_path, bright_images):
    from scarlet_tf.data import DataConfig, open_dataset

    data = open_dataset(DataConfig(name=f"folder:{bright_images(side=8, classes=2, train=60, test=40)}", image_size=8))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next(iter(data.train_batches(8, seed=0)))  # what the runtime itself opens is open
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 32, hard))
    try:
        images, labels = data.arrays("test")
        batch, _ = next(iter(data.train_batches(100, seed=0)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert images.shape == (80, 8, 8, 3) and np.bincount(labels).tolist() == [40, 40] and batch.shape[0] == 100
