"""Description of this machine: what affects the times of programs, and nothing that identifies it."""

from __future__ import annotations

import os
import platform
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


def machine() -> dict:
    """Return the machine's processor, cores and thread settings, as JSON values."""
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
