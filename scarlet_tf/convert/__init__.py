"""Conversion of official PyTorch weights to Keras, and back. Imports TensorFlow and PyTorch only when needed."""

from scarlet_tf.convert.checkpoint_file import (
    Checkpoint,
    CheckpointFileError,
    check_reader,
    check_torch,
    read_checkpoint,
    write_checkpoint,
)
from scarlet_tf.convert.conversion import Conversion, check_trained, convert_checkpoint, export_checkpoint
from scarlet_tf.convert.keras_file import check_weights_suffix, write_keras_weights
from scarlet_tf.convert.pytorch import Pair, StateDictError, from_state_dict, pairs, read_counters, to_state_dict
from scarlet_tf.convert.torch_network import checkpoint_function, torch_function
from scarlet_tf.zoo.files import read_weights_record

__all__ = [
    "Checkpoint",
    "CheckpointFileError",
    "Conversion",
    "Pair",
    "StateDictError",
    "check_reader",
    "check_torch",
    "check_trained",
    "check_weights_suffix",
    "checkpoint_function",
    "convert_checkpoint",
    "export_checkpoint",
    "from_state_dict",
    "pairs",
    "read_checkpoint",
    "read_counters",
    "read_weights_record",
    "to_state_dict",
    "torch_function",
    "write_checkpoint",
    "write_keras_weights",
]
