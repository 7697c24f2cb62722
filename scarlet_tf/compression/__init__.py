"""Compression of trained networks: quantisation-aware training, pruning and clustering.

All three use tensorflow-model-optimization (tfmot).
"""

from scarlet_tf.compression.config import METHODS, CompressionConfig, CompressionError, compression_config
from scarlet_tf.lazy import later

__getattr__ = later(
    __name__,
    {
        "scarlet_tf.compression.convert": ("convert_qat", "export_qat", "open_qat"),
        "scarlet_tf.compression.int8": ("describe_int8",),
        "scarlet_tf.compression.source": ("Source", "open_source"),
        "scarlet_tf.compression.trainer": ("compress", "summarize"),
    },
)

__all__ = [
    "METHODS",
    "CompressionConfig",
    "CompressionError",
    "Source",
    "compress",
    "compression_config",
    "convert_qat",
    "describe_int8",
    "export_qat",
    "open_qat",
    "open_source",
    "summarize",
]
