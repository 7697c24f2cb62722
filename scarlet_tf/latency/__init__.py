"""Latency of .tflite files, on this machine and on Android devices. Imports NumPy and LiteRT, but not TensorFlow."""

from scarlet_tf.latency.adb import AndroidError
from scarlet_tf.latency.android import measure_android
from scarlet_tf.latency.android_results import AndroidBenchmark, AndroidLatency, save_android
from scarlet_tf.latency.android_settings import AndroidSettings
from scarlet_tf.latency.host import HostLatency, find_failures, measure_host, save_json

__all__ = [
    "AndroidBenchmark",
    "AndroidError",
    "AndroidLatency",
    "AndroidSettings",
    "HostLatency",
    "find_failures",
    "measure_android",
    "measure_host",
    "save_android",
    "save_json",
]
