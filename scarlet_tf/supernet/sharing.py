"""Division of path evaluation among replicas, and the work that it takes. Imports no TensorFlow.

A replica computes a block once for all of its genomes that agree up to it, so the work of a set of genomes is the cost
of their distinct prefixes. Recalibration shares prefixes in the same way: the statistics of a block depend only on the
genes up to it. Genomes with long common prefixes are neighbours in lexicographic order.

Work can be divided along two axes. Runs of the sorted genomes repeat the prefixes that they have in common; shards of
the images repeat the recalibration. `plan` combines them.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.arch.block import strided
from scarlet_tf.arch.counting import count_stem, count_tail


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathCosts:
    """Costs of the parts of a supernet's paths for one image; integers, so that sums are exact.

    Attributes:
        stem: cost of the stem.
        blocks: for each layer, the cost of each choice.
        tail: cost of the tail with the classifier.
    """

    stem: int
    blocks: tuple[tuple[int, ...], ...]
    tail: int


def multiply_adds(space: SearchSpace) -> PathCosts:
    """Return the multiply-adds of the parts of a space's paths, with their LETs."""
    widths, size = (space.first_channels, *space.out_channels), strided(space.resolution, space.stem_stride)
    blocks = []
    for layer, choices in enumerate(space.num_choices):
        options = [space.block(layer, gene, widths[layer], let=True) for gene in range(choices)]
        blocks.append(tuple(option.counts(size).madds for option in options))
        size = strided(size, space.strides[layer])
    stem, tail = count_stem(space, space.resolution), count_tail(space, widths[-1], size)
    return PathCosts(stem=stem.madds, blocks=tuple(blocks), tail=tail.madds)


def block_counts(space: SearchSpace) -> PathCosts:
    """Return costs with which work is the number of blocks: 1 for each block, 0 for stem and tail."""
    return PathCosts(stem=0, blocks=tuple((1,) * choices for choices in space.num_choices), tail=0)


class SortedGenomes:
    """Genomes in lexicographic order, and the work of evaluating runs of them.

    Args:
        genomes: (n, num_layers) ints.
        costs: costs of the parts of a path.
    """

    def __init__(self, genomes: np.ndarray, costs: PathCosts) -> None:
        self._order = np.lexsort(genomes.T[::-1])
        genes = genomes[self._order]
        blocks = np.stack([np.array(each)[genes[:, layer]] for layer, each in enumerate(costs.blocks)], axis=1)
        new = np.ones(genes.shape, bool)  # where a genome's prefix differs from that of the genome before it
        new[1:] = np.logical_or.accumulate(genes[1:] != genes[:-1], axis=1)
        added = costs.tail + (blocks * new).sum(axis=1)
        self._start = costs.stem + (blocks * ~new).sum(axis=1)  # what a run computes again if it begins here
        self._sums = np.concatenate([[0], np.cumsum(added)])

    def work(self) -> int:
        """Return the work of all genomes on one replica, for one image, in the unit of the costs."""
        return int(self._start[0] + self._sums[-1]) if len(self._order) else 0

    def divide(self, parts: int) -> list[np.ndarray]:
        """Divide the genomes into runs such that the largest work of a run is as small as possible.

        Args:
            parts: number of runs, >= 1.

        Returns:
            For each run, the numbers of its genomes; empty where there are more runs than needed.
        """
        low, high = 0, self.work()
        while low < high:
            bound = (low + high) // 2
            if self._ends(parts, bound)[-1] == len(self._order):
                high = bound
            else:
                low = bound + 1
        return np.split(self._order, self._ends(parts, low)[:-1])

    def _ends(self, parts: int, bound: int) -> list[int]:
        """Return the ends of `parts` runs, each as long as its work is at most `bound`."""
        ends, end = [], 0
        for _ in range(parts):
            if end < len(self._order):
                reached = self._sums[end] + bound - self._start[end]
                end = max(end, int(np.searchsorted(self._sums, reached, side="right")) - 1)
            ends.append(end)
        return ends


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationImages:
    """The images that paths are evaluated on.

    Attributes:
        batches: number of held-out images in each batch.
        calibration: number of calibration images, on which every replica runs its own paths first; 0 with moving
            statistics.
    """

    batches: tuple[int, ...]
    calibration: int = 0

    def of_shard(self, shard: tuple[int, int]) -> int:
        """Return the number of images of a replica with shard (k, n): calibration, and batches k, k + n, k + 2n, ..."""
        first, step = shard
        return self.calibration + sum(self.batches[first::step])


class Share(NamedTuple):
    """What one replica evaluates: `rows`, numbers of genomes, on shard k of n of the batches, `shard` = (k, n)."""

    rows: np.ndarray
    shard: tuple[int, int]

    def work(self, genomes: np.ndarray, *, costs: PathCosts, images: EvaluationImages) -> int:
        """Return the replica's work for all of its images."""
        return SortedGenomes(genomes[self.rows], costs).work() * images.of_shard(self.shard)


def plan(genomes: np.ndarray, replicas: int, *, costs: PathCosts, images: EvaluationImages) -> list[Share]:
    """Divide genomes and images among replicas such that the largest work of a replica is as small as possible.

    The genomes are divided into g runs and the batches into s shards, with g * s = `replicas`; each run is evaluated on
    each shard. Of equally good plans, the one with most shards is taken, because it reads the images least often.

    Args:
        genomes: (n, num_layers) ints, n >= 1.
        replicas: number of replicas, >= 1.
        costs: costs of the parts of a path.
        images: the images of the evaluation.

    Returns:
        A share for each replica.
    """
    ordered, plans = SortedGenomes(genomes, costs), []
    for shards in range(1, min(replicas, len(images.batches)) + 1):
        if replicas % shards == 0:
            runs = ordered.divide(replicas // shards)
            most_images = max(images.of_shard((shard, shards)) for shard in range(shards))
            largest = max(SortedGenomes(genomes[rows], costs).work() for rows in runs) * most_images
            plans.append((largest, -shards, [Share(rows, (shard, shards)) for rows in runs for shard in range(shards)]))
    return min(plans, key=lambda candidate: candidate[:2])[2]
