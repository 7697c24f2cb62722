"""What a network is. Pure Python and NumPy; never imports TensorFlow."""

from scarlet_tf.arch.counting import Counts, count, count_genomes
from scarlet_tf.arch.scaling import scale
from scarlet_tf.arch.space import IDENTITY, SearchSpace, get_space, list_spaces
from scarlet_tf.arch.spec import ArchSpec, BlockSpec, SpecError

__all__ = [
    "IDENTITY",
    "ArchSpec",
    "BlockSpec",
    "Counts",
    "SearchSpace",
    "SpecError",
    "count",
    "count_genomes",
    "get_space",
    "list_spaces",
    "scale",
]
