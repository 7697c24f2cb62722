"""Set-up of the emulator: QEMU, a small ARM64 userland with Python, LiteRT for ARM64, and the counting plugin.

All is kept in one folder, `emulator_folder()`, and nothing else on the machine changes: apt-get works on package lists
and archives of its own there, so no root is needed. Debian's packages are unpacked, not installed.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from scarlet_tf.files import waiting_lock, write_atomically
from scarlet_tf.latency.emulator import (
    COUNT_SCRIPT,
    CPUS,
    LITERT,
    PLUGIN,
    PLUGIN_SOURCE,
    VERSIONS,
    EmulatedCpu,
    EmulatorError,
    check_emulator,
    count_job,
    emulate,
    emulator_folder,
    guest_python,
    plugin_version,
)
from scarlet_tf.progress import progress

_PROGRAMS = {"apt-get": "Debian's apt", "dpkg-deb": "Debian's dpkg", "gcc": "a C compiler", "setpriv": "util-linux"}
_USERLAND = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
_PATIENCE = 900  # seconds, for one download


class EmulatorUnavailableError(EmulatorError):
    """Error for a machine on which the emulator cannot be had: not Linux on x86, a program missing, no network."""


def set_up_emulator() -> Path:
    """Set up the emulator in `emulator_folder()`, unless it is there already with the installed version of LiteRT.

    Takes about a minute, 100 MB of downloads and 300 MB of disk. The folder appears when all is complete and has run
    once; packages that an interrupted set-up downloaded are kept for the next one. Several processes may call this at
    once: one works, the others wait.

    Returns:
        The folder.

    Raises:
        EmulatorUnavailableError: if something that it needs cannot be had on this machine.
        EmulatorError: if what was made does not work.
    """
    folder = emulator_folder()
    if _is_ready():
        return folder
    _check_machine()
    with waiting_lock(folder.with_name(f".{folder.name}.lock")):
        if not _is_ready():  # another process may have set it up
            _make(folder, work=folder.with_name(f".{folder.name}.set_up"))
    return folder


def _is_ready() -> bool:
    try:
        check_emulator()
    except EmulatorError:
        return False
    return True


def _make(folder: Path, *, work: Path) -> None:
    """Set up a new emulator in the folder `work`, then move it to where the old one was."""
    new, apt = work / "new", work / "apt"
    for leftover in (new, work / "old"):  # of a set-up that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(parents=True)
    steps: dict[str, Callable[[], object]] = {
        "package lists": lambda: _update_lists(apt),
        "QEMU": lambda: _unpack(_download_qemu(apt), new / "qemu"),
        "ARM64 userland": lambda: _unpack(_download_userland(apt), new / "root"),
        "processors": lambda: _write_cpus(new),
        "LiteRT for ARM64": lambda: _install_litert(new),
        "plugin": lambda: _compile_plugin(new),
        "versions": lambda: _write_versions(new, apt),
    }
    with progress(steps.items(), "set up", unit="step") as bar:
        for name, step in bar:
            bar.set_description_str(name)
            step()
    if folder.exists():
        folder.rename(work / "old")
    new.rename(folder)
    shutil.rmtree(work)


def _check_machine() -> None:
    found = f"{platform.system()} on {platform.machine()}"
    if found != "Linux on x86_64":
        raise EmulatorUnavailableError(f"the emulator needs Linux on x86_64, this is {found}")
    for program, source in _PROGRAMS.items():
        if not shutil.which(program):
            raise EmulatorUnavailableError(f"the emulator needs {program} ({source}), which is not installed")


def _run(command: Sequence[str | os.PathLike], *, what: str, error: type[EmulatorError], **settings) -> str:
    """Run a command and return its output; raise `error`, with its last line of complaint, if it fails."""
    settings = {"capture_output": True, "text": True, "errors": "replace", "timeout": _PATIENCE, **settings}
    try:
        process = subprocess.run([*map(os.fspath, command)], check=False, **settings)
    except subprocess.TimeoutExpired:
        raise error(f"{what}: {command[0]} did not finish within {_PATIENCE} s") from None
    if process.returncode:
        lines = [line for line in process.stderr.splitlines() if line.strip()]
        why = lines[-1] if lines else f"exit code {process.returncode}"
        raise error(f"{what}: {os.path.basename(command[0])} failed: {why}")
    return process.stdout


def _apt(apt: Path, *arguments: str, architecture: str = "amd64", status: Path | None = None, what: str) -> None:
    """Run apt-get on package lists and archives of its own.

    Args:
        status: list of installed packages, which are not downloaded; None for this machine's.
    """
    own = {
        "Dir::State::Lists": apt / "lists",
        "Dir::Cache": apt / architecture,
        "APT::Architecture": architecture,
        "APT::Sandbox::User": "",  # a user of its own might not be allowed to write to the folder
        "Debug::NoLocking": "1",  # the lock is root's
        "Acquire::Retries": "3",
    }
    if status:
        own["Dir::State::status"] = status
    options = [part for name, value in own.items() for part in ("-o", f"{name}={value}")]
    options += [part for known in ("amd64", "arm64") for part in ("-o", f"APT::Architectures::={known}")]
    (apt / architecture / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (apt / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "--quiet", "--yes", *options, *arguments], what=what, error=EmulatorUnavailableError)


def _update_lists(apt: Path) -> None:
    _apt(apt, "update", what="the lists of Debian's packages cannot be downloaded")


def _download_qemu(apt: Path) -> Path:
    """Download QEMU and the libraries that it needs and that are not installed here; return their folder."""
    options = ("--reinstall", "--no-install-recommends", "--download-only")
    _apt(apt, *options, "install", "qemu-user", what="Debian's package qemu-user cannot be downloaded")
    return apt / "amd64" / "archives"


def _download_userland(apt: Path) -> Path:
    """Download Python for ARM64 with everything that it needs, down to the C library; return their folder."""
    nothing = apt / "nothing_installed"
    nothing.touch()
    _apt(
        apt,
        "--no-install-recommends",
        "--download-only",
        "install",
        *_USERLAND,
        architecture="arm64",
        status=nothing,
        what="Debian's packages of Python for arm64 cannot be downloaded",
    )
    return apt / "arm64" / "archives"


def _unpack(archives: Path, target: Path) -> None:
    target.mkdir()
    for package in progress(sorted(archives.glob("*.deb")), "unpack", unit="package"):
        _run(["dpkg-deb", "-x", package, target], what=f"{package.name} cannot be unpacked", error=EmulatorError)


def _write_cpus(folder: Path) -> None:
    """Write a root folder for every ARM processor: the userland, and what Linux tells about the processor."""
    for name, cpu in CPUS.items():
        if cpu.machine == "aarch64":
            root = folder / "cpus" / name
            root.mkdir(parents=True)
            for shared in (folder / "root").iterdir():
                (root / shared.name).symlink_to(Path("..", "..", "root", shared.name))
            _write_one_core(root, cpu)


def _write_one_core(root: Path, cpu: EmulatedCpu) -> None:
    """Write /proc/cpuinfo and /sys/devices/system/cpu of a machine with one core.

    The library by which XNNPACK recognises processors takes their number from /sys and their names from /proc/cpuinfo;
    without these files it would read those of the machine underneath.
    """
    lines = {
        "processor": "0",
        "BogoMIPS": "50.00",
        "Features": cpu.features,
        "CPU implementer": "0x41",  # Arm
        "CPU architecture": "8",
        "CPU variant": "0x1",
        "CPU part": cpu.part,
        "CPU revision": "0",
    }
    content = "".join(f"{name}\t: {value}\n" for name, value in lines.items())
    write_atomically(root / "proc" / "cpuinfo", f"{content}\n")
    cores = root / "sys" / "devices" / "system" / "cpu"
    for name, content in {"possible": "0", "present": "0", "online": "0", "kernel_max": "0"}.items():
        write_atomically(cores / name, f"{content}\n")
    for name in ("core_siblings_list", "thread_siblings_list", "physical_package_id"):
        write_atomically(cores / "cpu0" / "topology" / name, "0\n")
    write_atomically(cores / "cpu0" / "cpufreq" / "cpuinfo_max_freq", "2000000\n")


def _install_litert(folder: Path) -> None:
    """Install the wheels of LiteRT, in the installed version, and of what it needs for the ARM64 machine's Python."""
    python = guest_python(folder).name.removeprefix("python")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:"]
    command += [f"--target={folder / 'site'}", f"--python-version={python}", "--implementation=cp"]
    command += [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)]
    _run(
        [*command, "--platform=manylinux2014_aarch64", f"{LITERT}=={importlib.metadata.version(LITERT)}"],
        what="LiteRT's package for ARM64 cannot be downloaded",
        error=EmulatorUnavailableError,
    )


def _compile_plugin(folder: Path) -> None:
    """Compile the counting plugin for the first version of the interface that this QEMU takes, and try it."""
    problem = None
    for interface in (1, 2, 3, 4, 5):
        _run(
            ["gcc", "-O2", "-shared", "-fPIC", f"-DPLUGIN_API={interface}", PLUGIN_SOURCE, "-o", folder / PLUGIN],
            what="the plugin cannot be compiled",
            error=EmulatorError,
        )
        try:
            _try_to_count(folder)
        except EmulatorError as error:
            problem = error
        else:
            return
    raise EmulatorError(f"QEMU does not run LiteRT with the plugin: {problem}")


def _try_to_count(folder: Path) -> None:
    """Raise EmulatorError unless every emulated processor runs the counting script."""
    for cpu in CPUS:
        for _ in emulate(COUNT_SCRIPT, count_job([], seed=0), cpu=cpu, plugin=PLUGIN, folder=folder):
            pass


def _write_versions(folder: Path, apt: Path) -> None:
    packages = [path.name for path in apt.glob("*/archives/*.deb")]
    version_of = {name.split("_")[0]: name.split("_")[1].replace("%3a", ":") for name in packages}
    site = importlib.metadata.distributions(path=[os.fspath(folder / "site")])
    wheels = {wheel.metadata["Name"]: wheel.version for wheel in site}
    versions = {
        "litert": wheels[LITERT],
        "numpy": wheels["numpy"],
        "python": guest_python(folder).name.removeprefix("python"),
        "qemu": version_of["qemu-user"],
        "libc": version_of["libc6"],
        "plugin": plugin_version(),
        "made": datetime.date.today().isoformat(),
    }
    write_atomically(folder / VERSIONS, json.dumps(versions, indent=1) + "\n")
