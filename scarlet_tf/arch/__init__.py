"""Network descriptions: blocks, specs, search spaces, scaling, counting. Pure Python and NumPy, without TensorFlow."""

from scarlet_tf.arch.block import BlockSpec, Counts, SpecError
from scarlet_tf.arch.choice import Choice
from scarlet_tf.arch.counting import count, count_genomes
from scarlet_tf.arch.scaling import scale
from scarlet_tf.arch.space import SearchSpace, choices_from, get_space, list_spaces
from scarlet_tf.arch.spec import ArchSpec

__all__ = [
    "ArchSpec",
    "BlockSpec",
    "Choice",
    "Counts",
    "SearchSpace",
    "SpecError",
    "choices_from",
    "count",
    "count_genomes",
    "get_space",
    "list_spaces",
    "scale",
]
