"""SCARLET-NAS in TensorFlow: model zoo, LET supernet, search, and export to TFLite."""

__version__ = "0.1.0"
