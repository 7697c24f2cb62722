"""The provenance of measurements: command, date and machine; and the memory that a process took."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Mapping, Sequence

from scarlet_tf.latency.machine import machine


def provenance(command: str, *, packages: Sequence[str] = ()) -> dict:
    """Return what to record with measured numbers, as JSON values.

    Args:
        command: the command that measured them.
        packages: packages whose versions are recorded.

    Returns:
        "command", "date", "machine" and, if there are packages, "versions".
    """
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"command": command, "date": datetime.date.today().isoformat(), "machine": machine()} | (
        {"versions": versions} if versions else {}
    )


def peak_resident_bytes() -> int:
    """Return the peak resident bytes of this process since its program started (Linux).

    `getrusage` does not tell them: its peak is also that of the process which started this one, if that was larger.
    """
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def describe(measured: Mapping, *, cpu_flags: bool = False) -> str:
    """Describe `provenance`, without its command: "2026-11-24; a CPU (x86_64), 2 cores of which the run was given 1".

    Older records lack thread variables, and the oldest have only the number of cores; missing fields are omitted.
    """
    computer, versions = measured["machine"], measured.get("versions", {})
    if computer.keys() == {"cores"}:
        return f"{measured['date']}; {computer['cores']} cores"
    kind = ", ".join([computer["architecture"], *(computer["cpu_flags"] if cpu_flags else ())])
    cores = f"{computer['cores']} cores of which the run was given {computer['cores_used']}"
    threads = [f"{name}={value}" for name, value in computer.get("threads", {}).items()]
    parts = [
        measured["date"],
        ", ".join([f"{computer['cpu']} ({kind})", cores, *threads]),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
    return "; ".join(part for part in parts if part)
