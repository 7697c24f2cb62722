"""Timing without AMX."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from scarlet_tf.latency.amx import AMX, time_without_amx
from scarlet_tf.tflite.costs.measure import cpu_name, time_on_host

pytestmark = pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="Linux on x86")

_ASK = """
import ctypes, errno, sys
from scarlet_tf.latency.amx import refuse_amx
refuse_amx()
libc = ctypes.CDLL(None, use_errno=True)
asked = libc.syscall(158, 0x1023, 18)  # arch_prctl: may this process use AMX's tiles?
refused = asked == -1 and ctypes.get_errno() == errno.EPERM
base = ctypes.c_ulong()
other = libc.syscall(158, 0x1003, ctypes.byref(base))  # arch_prctl: the thread's FS base
sys.exit(0 if refused and other == 0 and base.value else 1)
"""


def test_only_the_request_for_amx_is_refused():
    subprocess.run([sys.executable, "-c", _ASK], check=True)


def test_times_come_from_another_process(
    tflite_file,
):
    files = [Path(tflite_file).read_bytes()] * 2
    times, here = time_without_amx(files), time_on_host(files)
    assert len(times) == 2 and min(times) > 0
    assert all(time < 20 * own for time, own in zip(times, here, strict=True))  # the same work, on a busy machine


def test_the_flag():
    assert (AMX in cpu_name().split()) == (AMX in Path("/proc/cpuinfo").read_text().split())
