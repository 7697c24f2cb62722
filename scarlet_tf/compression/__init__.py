"""Compressing trained networks with tensorflow-model-optimization: quantisation-aware training, pruning, clustering."""

from scarlet_tf.compression.config import METHODS, CompressionConfig, CompressionError, compression_config
from scarlet_tf.compression.convert import convert_qat, export_qat, open_qat
from scarlet_tf.compression.source import Source, open_source
from scarlet_tf.compression.trainer import compress, summarize

__all__ = [
    "METHODS",
    "CompressionConfig",
    "CompressionError",
    "Source",
    "compress",
    "compression_config",
    "convert_qat",
    "export_qat",
    "open_qat",
    "open_source",
    "summarize",
]
