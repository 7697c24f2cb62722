"""Access to an Android device through the `adb` client, run as a subprocess. Errors are one-line messages."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

from scarlet_tf.choices import check_known

_ADVICE = {
    "unauthorized": "unlock it and allow USB debugging when it asks",
    "offline": "reconnect it, or call `adb reconnect`",
    "no permissions": "this user has no permission to open it; install udev rules for Android devices",
}
_COMMAND_SECONDS = 60  # timeout of all commands except pushes and measurements
_PUSH_SECONDS = 900
_END = "scarlet_tf_exit:"  # precedes the exit code; adb itself returns none before Android 7 or if the device is lost


class AndroidError(ValueError):
    """A device, binary, model or run that cannot be used; the message is one line."""


class DeviceTimeout(AndroidError):
    """A command on the device that timed out; it may still be running there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShellResult:
    """Output of a command on the device, standard output and error interleaved, and its exit code."""

    output: str
    exit_code: int


class Adb:
    """A connected device that allows debugging.

    Args:
        program: the adb client, a name on PATH or a path.
        serial: serial number of the device; may be None if only one is connected.

    Raises:
        AndroidError: if there is no adb or no device, several devices but no serial, an unknown serial, or a device
            that is unauthorised or offline.
    """

    def __init__(self, *, program: str = "adb", serial: str | None = None) -> None:
        found = shutil.which(program)
        if found is None:
            raise AndroidError(
                f"no adb client {program!r}: install Android's platform tools (Debian: apt-get install adb), "
                "or give its path with --adb"
            )
        self._program = found
        self.serial = _choose(self._devices(), serial)

    def shell(self, script: str, *, seconds: float = _COMMAND_SECONDS) -> ShellResult:
        """Run a script in the device's `sh`; DeviceTimeout after `seconds`, AndroidError if the device is lost."""
        try:
            result = self._run("-s", self.serial, "shell", f"( {script} ) 2>&1; echo {_END}$?", seconds=seconds)
        except subprocess.TimeoutExpired:
            raise DeviceTimeout(f"device {self.serial} did not answer within {seconds:g} s") from None
        output, mark, exit_code = result.stdout.replace("\r\n", "\n").rpartition(_END)
        if not mark or not exit_code.strip().isdigit():
            raise self._lost(result)
        return ShellResult(output=output, exit_code=int(exit_code))

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the path `remote` on the device."""
        try:
            result = self._run("-s", self.serial, "push", str(local), remote, seconds=_PUSH_SECONDS)
        except subprocess.TimeoutExpired:
            raise AndroidError(f"copying {local} to the device took longer than {_PUSH_SECONDS} s") from None
        if result.returncode == 0:
            return
        said = result.stderr + result.stdout
        if "No space left on device" in said:
            raise AndroidError(
                f"device {self.serial} is full: {local} needs {local.stat().st_size} bytes, "
                f"free: {self._free_space(remote)}"
            )
        if self.serial not in self._states():
            raise self._lost(result)
        raise AndroidError(f"{local} cannot be copied to the device: {last_line(said)}")

    def _free_space(self, remote: str) -> str:
        """Return the free space as `df` prints it, such as "1.2M"."""
        lines = self.shell(f"df -h {Path(remote).parent}").output.split("\n")
        fields = lines[1].split() if len(lines) > 1 else []
        return fields[3] if len(fields) > 3 else "unknown"

    def _lost(self, result: subprocess.CompletedProcess) -> AndroidError:
        state = self._states().get(self.serial, "not connected")
        return AndroidError(
            f"device {self.serial} was lost (now {state}); adb printed: {last_line(result.stderr) or 'nothing'}"
        )

    def _states(self) -> dict[str, str]:
        return {serial: state for serial, state, _ in self._devices()}

    def _devices(self) -> list[tuple[str, str, str]]:
        """Return (serial, state, model) of every device that `adb devices -l` lists."""
        try:
            result = self._run("devices", "-l", seconds=_COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            raise AndroidError(f"`adb devices` did not answer within {_COMMAND_SECONDS} s") from None
        if result.returncode:
            raise AndroidError(f"`adb devices` failed: {last_line(result.stderr + result.stdout)}")
        _, _, listed = result.stdout.partition("List of devices attached")  # a starting server prints notes first
        devices = []
        for line in filter(str.strip, listed.splitlines()):
            serial, state = re.match(r"(\S+)\s+(no permissions|\S+)", line).groups()
            model = re.search(r"\bmodel:(\S+)", line)
            devices.append((serial, state, model[1] if model else "model unknown"))
        return devices

    def _run(self, *arguments: str, seconds: float) -> subprocess.CompletedProcess:
        try:
            return subprocess.run(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except OSError as error:
            raise AndroidError(f"{self._program} cannot be run: {error}") from error


def last_line(text: str) -> str:
    """Return the last line of a text that is not blank, "" if there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _choose(devices: list[tuple[str, str, str]], serial: str | None) -> str:
    if not devices:
        raise AndroidError("no Android device: `adb devices` lists none; connect one that has USB debugging on")
    states = {serial: state for serial, state, _ in devices}
    if serial is None and len(devices) > 1:
        listed = ", ".join(f"{serial} ({model}, {state})" for serial, state, model in devices)
        raise AndroidError(f"several Android devices: choose one with --serial: {listed}")
    if serial is None:
        serial = devices[0][0]
    check_known("device", serial, list(states), error=AndroidError)
    if states[serial] != "device":
        raise AndroidError(
            f"device {serial} cannot be used ({states[serial]}): "
            f"{_ADVICE.get(states[serial], 'its state must be `device`')}"
        )
    return serial
