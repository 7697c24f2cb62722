"""Set-up of the emulator where something that it needs cannot be had; the real one is CI's (see conftest.py)."""

import json
import os
import sys

import pytest

from scarlet_tf.latency import EmulatorError, EmulatorUnavailableError, set_up_emulator
from scarlet_tf.latency.emulator import VERSIONS
from scarlet_tf.latency.emulator_setup import _compile_plugin, _write_cpus

APT = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in *qemu-user*) echo "E: Unable to locate package qemu-user" >&2; exit 100;; esac
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCARLET_TF_ARM64", str(tmp_path / "cache" / "arm64"))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return tmp_path / "cache" / "arm64"


def programs(tmp_path, monkeypatch, **scripts):
    (tmp_path / "bin").mkdir()
    for name, script in scripts.items():
        path = tmp_path / "bin" / name.replace("_", "-")
        path.write_text(script)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin" if scripts else "/nowhere")


def test_other_machines_are_refused(folder, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(EmulatorUnavailableError, match="needs Linux on x86_64, this is Darwin on arm64"):
        set_up_emulator()
    assert not folder.parent.exists()


def test_missing_programs_are_named(folder, tmp_path, monkeypatch):
    programs(tmp_path, monkeypatch)
    with pytest.raises(EmulatorUnavailableError, match=r"needs apt-get \(Debian's apt\), which is not installed"):
        set_up_emulator()


def test_missing_package_is_named_and_the_old_folder_stays(folder, tmp_path, monkeypatch):
    folder.mkdir(parents=True)
    (folder / VERSIONS).write_text(json.dumps({"litert": "1.0"}))
    calls = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(calls))
    programs(tmp_path, monkeypatch, apt_get=APT, dpkg_deb="#!/bin/sh\n", gcc="#!/bin/sh\n")
    with pytest.raises(EmulatorUnavailableError, match=r"qemu-user cannot be downloaded: .* Unable to locate package"):
        set_up_emulator()
    assert json.loads((folder / VERSIONS).read_text()) == {"litert": "1.0"}
    update, install = calls.read_text().splitlines()
    own = f"{folder.parent}/.arm64.set_up/apt"
    assert update.endswith(" update") and install.endswith(" install qemu-user")
    assert all(
        f"Dir::State::Lists={own}/lists" in call and f"Dir::Cache={own}/amd64" in call for call in (update, install)
    )


def test_arm_processors_have_one_core_that_linux_describes(tmp_path):
    for name in ("usr", "lib"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root" / "lib" / "ld.so").touch()
    _write_cpus(tmp_path)
    assert sorted(path.name for path in (tmp_path / "cpus").iterdir()) == ["armv9-i8mm", "cortex-a72", "cortex-a76"]
    root = tmp_path / "cpus" / "cortex-a76"
    assert (root / "lib" / "ld.so").is_file()
    described = dict(line.split("\t: ") for line in (root / "proc" / "cpuinfo").read_text().splitlines() if line)
    assert described["CPU part"] == "0xd0b" and "asimddp" in described["Features"].split()
    assert (root / "sys" / "devices" / "system" / "cpu" / "possible").read_text() == "0\n"


def test_a_plugin_that_does_not_compile_is_no_lack_of_packages(tmp_path, monkeypatch):
    programs(tmp_path, monkeypatch, gcc="#!/bin/sh\necho 'fatal: broken' >&2\nexit 1\n")
    with pytest.raises(EmulatorError, match="the plugin cannot be compiled: gcc failed: fatal: broken") as caught:
        _compile_plugin(tmp_path)
    assert not isinstance(caught.value, EmulatorUnavailableError)


def test_set_up_again_changes_nothing(emulator, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")  # without which nothing could be installed
    monkeypatch.setenv("PATH", "/nowhere")
    assert (set_up_emulator() / VERSIONS).is_file()
