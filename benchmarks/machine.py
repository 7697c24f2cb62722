"""The provenance of measurements: command, date and machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from scarlet_tf.cli import usable_cores

_CPU_FLAGS = ("sse4_1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
_ARM_FLAGS = ("asimd", "asimdhp", "asimddp", "i8mm", "sve")
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


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


def machine() -> dict:
    """Return what affects the times, and nothing that identifies the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    affinity = usable_cores()
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "architecture": platform.machine(),
        "cpu": facts.get("model name", "not known"),
        "cpu_flags": [flag for flag in (*_CPU_FLAGS, *_ARM_FLAGS) if flag in flags],
        "cores": os.cpu_count(),
        "cores_used": len(affinity),
        "affinity": affinity,
        "threads": {name: os.environ[name] for name in _THREADS if name in os.environ},
        "system": platform.system(),
    }
