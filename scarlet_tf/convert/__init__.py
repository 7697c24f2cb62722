"""Official PyTorch weights to ours and back."""

from scarlet_tf.convert.pytorch import Pair, StateDictError, from_state_dict, pairs, to_state_dict
from scarlet_tf.convert.torch_file import CheckpointFileError, read_checkpoint, require_torch, write_checkpoint

__all__ = [
    "CheckpointFileError",
    "Pair",
    "StateDictError",
    "from_state_dict",
    "pairs",
    "read_checkpoint",
    "require_torch",
    "to_state_dict",
    "write_checkpoint",
]
