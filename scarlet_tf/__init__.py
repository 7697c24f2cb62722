"""SCARLET in TensorFlow: model zoo, supernet with LET, search, and export to phones."""

__version__ = "0.1.0"
