"""Cost of .tflite files: latency on this machine and on Android devices, and instructions on emulated processors.

Imports NumPy and LiteRT, but not TensorFlow.
"""

from scarlet_tf.latency.adb import AndroidError
from scarlet_tf.latency.android import measure_android
from scarlet_tf.latency.android_results import AndroidBenchmark, AndroidLatency, save_android
from scarlet_tf.latency.android_settings import AndroidSettings
from scarlet_tf.latency.emulator import CPUS, EmulatedCpu, EmulatorError, check_emulator, count_instructions
from scarlet_tf.latency.emulator_setup import EmulatorUnavailableError, set_up_emulator
from scarlet_tf.latency.host import HostLatency, find_failures, measure_host, save_json

__all__ = [
    "CPUS",
    "AndroidBenchmark",
    "AndroidError",
    "AndroidLatency",
    "AndroidSettings",
    "EmulatedCpu",
    "EmulatorError",
    "EmulatorUnavailableError",
    "HostLatency",
    "check_emulator",
    "count_instructions",
    "find_failures",
    "measure_android",
    "measure_host",
    "save_android",
    "save_json",
    "set_up_emulator",
]
