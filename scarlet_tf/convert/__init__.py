"""Official PyTorch weights to ours and back."""

from scarlet_tf.convert.pytorch import Pair, StateDictError, from_state_dict, pairs, to_state_dict

__all__ = ["Pair", "StateDictError", "from_state_dict", "pairs", "to_state_dict"]
