"""Exact rewrites of .tflite files that make them fast on XNNPACK. Imports no TensorFlow."""

from scarlet_tf.tflite.associated import add_files, read_files
from scarlet_tf.tflite.file import optimize_file
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.metadata import add_metadata, client_obstacle
from scarlet_tf.tflite.optimize import (
    AFTER_INT8_PASSES,
    INT8_ONLY_PASSES,
    XNNPACK_PASSES,
    Optimized,
    optimize,
    run_passes,
)
from scarlet_tf.tflite.passes.report import PassReport
from scarlet_tf.tflite.probe import Probe, probe
from scarlet_tf.tflite.record import add_record, describe_ends, ends_of, read_record

__all__ = [
    "AFTER_INT8_PASSES",
    "INT8_ONLY_PASSES",
    "XNNPACK_PASSES",
    "Graph",
    "Optimized",
    "PassReport",
    "Probe",
    "add_files",
    "add_metadata",
    "add_record",
    "client_obstacle",
    "describe_ends",
    "ends_of",
    "optimize",
    "optimize_file",
    "probe",
    "read_files",
    "read_record",
    "run_passes",
]
