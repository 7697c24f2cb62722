"""Skip tests of float16 and bfloat16 arithmetic where oneDNN cannot compute it."""

import os

import pytest

needs_sixteen_bits = pytest.mark.skipif(
    os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"
    and os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper() not in ("", "ALL", "DEFAULT"),
    reason="TensorFlow gives oneDNN the 16-bit operations that the CPU has instructions for, and oneDNN, which may not "
    "use them here (ONEDNN_MAX_CPU_ISA), fails or crashes",
)
