"""What trainings and evaluations cost, in multiply-adds; counted, not timed. Imports no TensorFlow.

An image that a model is evaluated on costs the model's multiply-adds, and an image that it is trained on three times as
many: the forward pass, and a backward pass with gradients by activations and by weights. A path of a supernet costs as
much alone as in a fair step or in a search, although the stem of a step, and common prefixes in a search, are computed
once: the count is an upper bound of what the supernet takes, and the other methods get as much.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.equal_cost.cost_config import SupernetSettings
from scarlet_tf.arch import SearchSpace
from scarlet_tf.supernet.sampler import fair_paths
from scarlet_tf.supernet.sharing import multiply_adds

TRAINING = 3  # times the cost of an evaluation


def path_madds(space: SearchSpace, genomes: np.ndarray) -> np.ndarray:
    """Return the multiply-adds of a supernet's paths, with their LETs: (n, num_layers) ints -> (n,) int64."""
    costs = multiply_adds(space)
    blocks = [np.array(each)[genes] for each, genes in zip(costs.blocks, np.asarray(genomes).T, strict=True)]
    return costs.stem + np.sum(blocks, axis=0) + costs.tail


def supernet_training_cost(space: SearchSpace, settings: SupernetSettings) -> int:
    """Return the cost of all fair steps: of each, the sum over its paths.

    Every layer must have the same number of choices: each is then in one path of every step, and all steps cost alike.
    """
    step = fair_paths(0, 0, num_choices=space.num_choices)
    return TRAINING * settings.steps * settings.batch_size * int(path_madds(space, step).sum())


def one_shot_cost(space: SearchSpace, genomes: np.ndarray, *, images: int) -> int:
    """Return the cost of evaluating paths on `images` images each, those of recalibration included."""
    return images * int(path_madds(space, genomes).sum())


@dataclasses.dataclass(kw_only=True)
class Budget:
    """A number of multiply-adds, of which `spent` are spent."""

    total: int
    spent: int = 0

    def spend(self, cost: int) -> bool:
        """Spend `cost` and return True; if that exceeds the total, spend nothing and return False."""
        if self.spent + cost > self.total:
            return False
        self.spent += cost
        return True
