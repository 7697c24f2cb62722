"""Reading, running, counting and rewriting .tflite files, so that they run fast. Imports no TensorFlow."""

from scarlet_tf.tflite.associated import add_files, read_files
from scarlet_tf.tflite.choose import Choice
from scarlet_tf.tflite.costs import FormCostsError
from scarlet_tf.tflite.first_look import FirstRun, first_run
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.madds import count_madds
from scarlet_tf.tflite.metadata import add_metadata, client_obstacle
from scarlet_tf.tflite.optimize import (
    AFTER_INT8_PASSES,
    INT8_ONLY_PASSES,
    Optimized,
    choose_forms,
    optimize,
    optimize_file,
    run_passes,
)
from scarlet_tf.tflite.passes import PassReport
from scarlet_tf.tflite.probe import Probe, probe
from scarlet_tf.tflite.record import add_record, describe_ends, ends_of, read_record
from scarlet_tf.tflite.runtime import TFLiteFileError, invoke, open_interpreter, operation_counts, partition_count

__all__ = [
    "AFTER_INT8_PASSES",
    "INT8_ONLY_PASSES",
    "Choice",
    "FirstRun",
    "FormCostsError",
    "Graph",
    "Optimized",
    "PassReport",
    "Probe",
    "TFLiteFileError",
    "add_files",
    "add_metadata",
    "add_record",
    "choose_forms",
    "client_obstacle",
    "count_madds",
    "describe_ends",
    "ends_of",
    "first_run",
    "invoke",
    "open_interpreter",
    "operation_counts",
    "optimize",
    "optimize_file",
    "partition_count",
    "probe",
    "read_files",
    "read_record",
    "run_passes",
]
