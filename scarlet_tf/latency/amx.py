"""Timing without AMX on a machine that has it, so that XNNPACK takes its kernels for AVX-512 VNNI.

A process must ask Linux for AMX's registers, by the system call arch_prctl, before it may use them, and XNNPACK takes
kernels for AMX if it gets them. Here a process of its own runs with a filter (seccomp) that refuses this one request.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import multiprocessing
import os
import struct
from collections.abc import Sequence

from scarlet_tf.tflite.costs.measure import time_on_host

AMX = "amx_int8"  # the extension's name among the processor's flags

# Linux's numbers, for x86-64: include/uapi/linux/{prctl,seccomp,filter}.h, arch/x86/include/uapi/asm/prctl.h.
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_ARCH_PRCTL, _REQUEST_PERMISSION = 158, 0x1023
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # the second: fail with EPERM
_CALL, _FIRST_ARGUMENT = 0, 16  # offsets of what the filter looks at


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def time_without_amx(files: Sequence[bytes]) -> list[float]:
    """Return the median time of each file as `time_on_host` does, in a process without AMX.

    Raises:
        OSError: where the system does not let a process filter its own calls.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_time, files).result()


def _time(files: Sequence[bytes]) -> list[float]:
    refuse_amx()
    return time_on_host(files)


def refuse_amx() -> None:
    """Have Linux refuse AMX to this process from now on, and to those that it starts."""
    steps = (
        (_LOAD, 0, 0, _CALL),
        (_JUMP_IF_EQUAL, 0, 3, _ARCH_PRCTL),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 0, 1, _REQUEST_PERMISSION),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.cast(instructions, ctypes.c_void_p))
    system = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)):
        if system.prctl(*arguments):
            error = ctypes.get_errno()
            raise OSError(error, f"cannot refuse AMX to a process: {os.strerror(error)}")
