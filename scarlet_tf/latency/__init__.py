"""How fast .tflite files run. Imports no TensorFlow: NumPy and the LiteRT interpreter only."""

from scarlet_tf.latency.adb import AndroidError
from scarlet_tf.latency.android import measure_android
from scarlet_tf.latency.android_results import AndroidBenchmark, AndroidLatency, save_android
from scarlet_tf.latency.android_settings import AndroidSettings
from scarlet_tf.latency.first_look import FirstRun, first_run
from scarlet_tf.latency.host import HostLatency, find_failures, measure_host, save_json
from scarlet_tf.latency.madds import count_madds
from scarlet_tf.latency.runtime import TFLiteFileError, invoke, open_interpreter, operation_counts, partition_count

__all__ = [
    "AndroidBenchmark",
    "AndroidError",
    "AndroidLatency",
    "AndroidSettings",
    "FirstRun",
    "HostLatency",
    "TFLiteFileError",
    "count_madds",
    "find_failures",
    "first_run",
    "invoke",
    "measure_android",
    "measure_host",
    "open_interpreter",
    "operation_counts",
    "partition_count",
    "save_android",
    "save_json",
]
