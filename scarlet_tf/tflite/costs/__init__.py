"""What each form of an operator costs on a target: tables that are shipped or cached, estimates, and measurements."""

from scarlet_tf.tflite.costs.estimate import estimate_costs
from scarlet_tf.tflite.costs.table import (
    FormCosts,
    FormCostsError,
    cached_path,
    load_table,
    read_table,
    runtime_version,
    shipped_path,
    write_table,
)

__all__ = [
    "FormCosts",
    "FormCostsError",
    "cached_path",
    "estimate_costs",
    "load_table",
    "read_table",
    "runtime_version",
    "shipped_path",
    "write_table",
]
