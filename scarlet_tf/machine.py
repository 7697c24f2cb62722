"""The machine that a measurement was made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPU_FLAGS = ("sse4_1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
_ARM_FLAGS = ("asimd", "asimdhp", "asimddp", "i8mm", "sve")


def machine() -> dict:
    """What decides the times, and nothing that names the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "architecture": platform.machine(),
        "cpu": facts.get("model name", "not known"),
        "cpu_flags": [flag for flag in (*_CPU_FLAGS, *_ARM_FLAGS) if flag in flags],
        "cores": os.cpu_count(),
        "cores_used": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
    }
