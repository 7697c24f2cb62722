"""An Android device: its properties, its thermal state, and a temporary folder on it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

from scarlet_tf.latency.adb import Adb, AndroidError, ShellResult
from scarlet_tf.paths import no_such

NIGHTLY = "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly/latest/"
GET_BINARY = (
    "LiteRT's benchmark_model is needed: --benchmark_binary=PATH, built from its sources or downloaded as "
    f"android_aarch64_benchmark_model (32-bit devices: android_arm_benchmark_model) from {NIGHTLY}"
)
THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")  # PowerManager's

_ABIS = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a", 243: "riscv64"}  # by ELF's e_machine
_TEMPERATURE_TYPES = {0, 1, 2, 3, 4, 5, 9}  # of android.os.Temperature; the others are volts, amperes, percent
# `read` instead of `cat`: there are dozens of these files, and starting a program takes milliseconds
_CPUS = (
    "for c in /sys/devices/system/cpu/cpu[0-9]*; do g= k=; { read g < $c/cpufreq/scaling_governor; } 2>/dev/null; "
    '{ read k < $c/cpufreq/cpuinfo_max_freq; } 2>/dev/null; echo "${c##*/}|$g|$k"; done'
)
_ZONES = (
    "for z in /sys/class/thermal/thermal_zone*; do n= t=; { read n < $z/type; } 2>/dev/null; "
    '{ read t < $z/temp; } 2>/dev/null; echo "$n|$t"; done'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """Properties of a device; None where its shell may not read them.

    Attributes:
        abis: ABIs that it executes, the preferred one first.
        cpus: "governor" and "max_khz" by CPU name, such as "cpu0".
    """

    serial: str
    model: str | None
    soc: str | None
    android: str | None
    abis: tuple[str, ...]
    cpus: dict[str, dict]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thermal:
    """Thermal state of a device.

    Attributes:
        status: 0 to 6, as in THERMAL_STATUS; None where `dumpsys thermalservice` is missing (before Android 10).
        temperatures: degrees Celsius by sensor name; None where none can be read.
    """

    status: int | None
    temperatures: dict[str, float] | None


def read_facts(adb: Adb) -> DeviceFacts:
    """Read a device's system properties and /sys."""
    properties = dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]", adb.shell("getprop").output, re.MULTILINE))
    rows = [line.strip().split("|") for line in adb.shell(_CPUS).output.splitlines() if line.startswith("cpu")]
    names = (properties.get(name) for name in ("ro.soc.manufacturer", "ro.soc.model"))
    abis = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi") or ""
    return DeviceFacts(
        serial=adb.serial,
        model=properties.get("ro.product.model") or None,
        soc=" ".join(filter(None, names)) or properties.get("ro.board.platform") or None,
        android=properties.get("ro.build.version.release") or None,
        abis=tuple(filter(None, abis.split(","))),
        cpus={
            name: {"governor": governor or None, "max_khz": int(khz) if khz.isdigit() else None}
            for name, governor, khz in sorted(rows, key=lambda row: (len(row[0]), row[0]))
        },
    )


def read_thermal(adb: Adb) -> Thermal:
    """Read `dumpsys thermalservice`, and the kernel's thermal zones if that reports no temperatures."""
    dump = adb.shell("dumpsys thermalservice").output
    status = re.search(r"^Thermal Status: (\d+)", dump, re.MULTILINE)
    _, current, section = dump.partition("Current temperatures from HAL:")
    section = section.partition("Current cooling devices")[0] if current else dump
    found = re.findall(r"Temperature\{mValue=([-.\d]+), mType=(-?\d+), mName=([^,}]+)", section)
    temperatures = {name: float(value) for value, kind, name in found if int(kind) in _TEMPERATURE_TYPES}
    if not temperatures:
        zones = re.findall(r"^([^|\n]+)\|(-?\d+)", adb.shell(_ZONES).output, re.MULTILINE)
        temperatures = {name: int(value) / (1000 if abs(int(value)) >= 1000 else 1) for name, value in zones}
    return Thermal(status=int(status[1]) if status else None, temperatures=temperatures or None)


def binary_abi(path: Path) -> str:
    """Return the ABI of an executable from its ELF header. Raise AndroidError for any other file."""
    if not path.is_file():
        raise AndroidError(f"{no_such(path)}: {GET_BINARY}")
    with open(path, "rb") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise AndroidError(f"{path} is not an Android executable (it begins with {head[:12]!r}): {GET_BINARY}")
    machine = int.from_bytes(head[18:20], "little")
    return _ABIS.get(machine, f"machine {machine}")


@contextlib.contextmanager
def device_folder(adb: Adb, warnings: list[str]) -> Iterator[str]:
    """Create a temporary folder on the device, and always remove it, killing what `run_in_folder` left running.

    If the folder cannot be removed, the error names it, or `warnings` does if nothing else went wrong.
    """
    folder = f"/data/local/tmp/scarlet_tf_{uuid.uuid4().hex[:12]}"
    try:
        made = adb.shell(f"mkdir {folder}")
        if made.exit_code:
            raise AndroidError(f"cannot create a folder on device {adb.serial}: {made.output.strip()}")
        yield folder
    except BaseException as error:
        left = _remove(adb, folder)
        if left and isinstance(error, AndroidError):
            raise AndroidError(f"{error}; {left}") from error
        raise
    if left := _remove(adb, folder):
        warnings.append(left)


def run_in_folder(adb: Adb, folder: str, command: str, *, seconds: float) -> ShellResult:
    """Run a command in the device's folder. While it runs, the folder's file `pid` holds its process id."""
    # exec keeps the inner shell's process id, so that the command can be killed after adb has stopped listening
    return adb.shell(
        f"cd {folder} && {{ sh -c 'echo $$ > pid; exec {command}'; code=$?; rm -f pid; exit $code; }}", seconds=seconds
    )


def _remove(adb: Adb, folder: str) -> str | None:
    try:
        removed = adb.shell(f"[ -f {folder}/pid ] && kill -9 $(cat {folder}/pid); rm -rf {folder}")
        return f"{folder} cannot be deleted from the device: {removed.output.strip()}" if removed.exit_code else None
    except AndroidError:
        return f"{folder} cannot be deleted from device {adb.serial}"
