"""Exact rewrites of .tflite files that make them fast on XNNPACK. Imports no TensorFlow."""

from scarlet_tf.tflite.file import optimize_file
from scarlet_tf.tflite.graph import Graph
from scarlet_tf.tflite.optimize import XNNPACK_PASSES, Optimized, optimize, run_passes
from scarlet_tf.tflite.passes.report import PassReport
from scarlet_tf.tflite.probe import Probe, probe

__all__ = [
    "XNNPACK_PASSES",
    "Graph",
    "Optimized",
    "PassReport",
    "Probe",
    "optimize",
    "optimize_file",
    "probe",
    "run_passes",
]
