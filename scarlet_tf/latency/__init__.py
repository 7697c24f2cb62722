"""How fast .tflite files run. Imports no TensorFlow: NumPy and the LiteRT interpreter only."""

from scarlet_tf.latency.host import HostLatency, measure_host, save_json
from scarlet_tf.latency.runtime import TFLiteFileError, open_interpreter, operation_counts

__all__ = ["HostLatency", "TFLiteFileError", "measure_host", "open_interpreter", "operation_counts", "save_json"]
