"""Parts of a space's stand-alone networks: stem, blocks and tails, each of which costs the same in every network."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scarlet_tf.arch.block import BlockSpec, strided
from scarlet_tf.arch.space import SearchSpace
from scarlet_tf.image_size import height_and_width

STEM, BLOCK, TAIL = "stem", "block", "tail"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of a network.

    Attributes:
        kind: "stem", all layers before the first block; "block"; or "tail", all layers after the last block.
        input_shape: (height, width, channels) of its input.
        block: the layer of a "block"; None for the other kinds.
    """

    kind: str
    input_shape: tuple[int, int, int]
    block: BlockSpec | None = None

    @property
    def name(self) -> str:
        """The name in files: unique within a space, and valid as a file name."""
        place = "x".join(map(str, self.input_shape))
        if self.block is None:
            return f"{self.kind}_{place}"
        if not self.block.expands:
            return f"pool_{place}"
        block = self.block
        words = [block.kind, place, f"s{block.stride}", f"k{block.kernel_size}", f"h{block.hidden_channels}"]
        words += [f"se{block.se_channels}"] if block.has_se else []
        words += ["add"] if block.shortcut else []
        return "_".join([*words, block.activation, str(block.out_channels)])

    @property
    def madds(self) -> int:
        """The multiply-adds of a block; 0 for the other kinds."""
        return 0 if self.block is None else self.block.counts(self.input_shape[:2]).madds


class Estimate(NamedTuple):
    """Where a block's cost comes from: cost(same_choice) * cost(same_input) / cost(neither).

    A choice of a layer costs more or less with another input width; by how much is taken from a choice of the same
    kind and kernel size.

    Attributes:
        same_choice: the same choice of the layer with the usual input width.
        same_input: another choice with the same input width.
        neither: that other choice with the usual input width.
    """

    same_choice: Part
    same_input: Part
    neither: Part


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpaceParts:
    """The parts of all networks of a space.

    A stand-alone identity keeps the width of its input, so a layer's input is as wide as the output of the last layer
    before it that is not skipped. `origin` stands for that layer: its index plus 1, or 0 for the stem. A skipped layer
    of stride 1 computes nothing and is no part.

    Attributes:
        space: the search space.
        stem: the stem.
        layers: for every layer, (origin, gene) -> its part, or None for a layer that computes nothing. It has the
            origins that the layer can have.
        tails: origin of the last layer's output -> the tail.
    """

    space: SearchSpace
    stem: Part
    layers: tuple[dict[tuple[int, int], Part | None], ...]
    tails: dict[int, Part]

    def __iter__(self) -> Iterator[Part]:
        """Iterate over the distinct parts: stem, blocks by layer, tails."""
        blocks = (part for layer in self.layers for part in layer.values() if part is not None)
        return iter(dict.fromkeys([self.stem, *blocks, *self.tails.values()]))

    def of(self, genome: Sequence[int]) -> tuple[Part, ...]:
        """Return the parts of a genome's network, in order.

        Raises:
            SpecError: if the genome is not one of the space.
        """
        genome, origin, found = self.space.check(genome), 0, [self.stem]
        for layer, gene in enumerate(genome):
            found.append(self.layers[layer][origin, gene])
            if gene != self.space.identities[layer]:
                origin = layer + 1
        return tuple(part for part in (*found, self.tails[origin]) if part is not None)

    @functools.cached_property
    def estimates(self) -> dict[Part, Estimate]:
        """The blocks that need not be measured, because their costs follow from others; see `Estimate`.

        After a skipped layer, a layer has another input width. Of its choices there, the first one of every kind and
        kernel size is to be measured, and the others follow.
        """
        estimates, measured = {}, set()
        for layer in self.layers:
            latest = max(origin for origin, _ in layer)
            samples: dict[tuple, int] = {}  # (origin, kind, kernel size) -> gene
            for (origin, gene), part in layer.items():
                if origin == latest or part is None or not part.block.expands:
                    measured.add(part)
                    continue
                sampled = samples.setdefault((origin, part.block.kind, part.block.kernel_size), gene)
                if sampled == gene:
                    measured.add(part)
                    continue
                estimates[part] = Estimate(
                    same_choice=layer[latest, gene],
                    same_input=layer[origin, sampled],
                    neither=layer[latest, sampled],
                )
        return {part: estimate for part, estimate in estimates.items() if part not in measured}


@functools.lru_cache(maxsize=16)
def parts_of(space: SearchSpace) -> SpaceParts:
    """Return the parts of a space's networks.

    Example:
        >>> from scarlet_tf.arch import get_space
        >>> parts = parts_of(get_space("scarlet"))
        >>> len(list(parts)), len(parts.estimates)
        (463, 234)
        >>> print(*[part.name for part in parts.of((12,) * 19)])
        stem_224x224x3 pool_112x112x16 pool_56x56x16 pool_28x28x16 pool_14x14x16 tail_7x7x16
    """
    widths = (space.first_channels, *space.out_channels)
    stem = Part(kind=STEM, input_shape=(*height_and_width(space.resolution), 3))
    size, origins, layers = strided(stem.input_shape[:2], space.stem_stride), [0], []
    for layer, (stride, identity) in enumerate(zip(space.strides, space.identities, strict=True)):
        genes = range(space.num_choices[layer])
        layers.append(
            {
                (origin, gene): _block_part(space.block(layer, gene, widths[origin]), size)
                for origin in origins
                for gene in genes
            }
        )
        skipped = origins if identity is not None else []
        kept = [layer + 1] if identity is None or len(genes) > 1 else []
        origins, size = [*skipped, *kept], strided(size, stride)
    tails = {origin: Part(kind=TAIL, input_shape=(*size, widths[origin])) for origin in origins}
    return SpaceParts(space=space, stem=stem, layers=tuple(layers), tails=tails)


def _block_part(block: BlockSpec, size: tuple[int, int]) -> Part | None:
    if block.kind == "identity" and block.stride == 1:
        return None
    return Part(kind=BLOCK, input_shape=(*size, block.in_channels), block=block)


def sum_of_parts(space: SearchSpace, costs: Mapping[str, float]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that adds up the costs of the parts of genomes: (n, num_layers) integers -> (n,) float64.

    Args:
        space: the search space.
        costs: part name -> its cost.

    Raises:
        KeyError: if a part of the space has no cost.

    Example:
        >>> from scarlet_tf.arch import get_space
        >>> space = get_space("small")
        >>> number_of_parts = sum_of_parts(space, {part.name: 1.0 for part in parts_of(space)})
        >>> number_of_parts(np.array([[12, 1, 12, 6, 3, 8]]))
        array([8.])
    """
    parts, length = parts_of(space), space.num_layers
    table = np.full((length, length, max(space.num_choices)), np.nan)
    for layer, options in enumerate(parts.layers):
        for (origin, gene), part in options.items():
            table[layer, origin, gene] = 0.0 if part is None else costs[part.name]
    ends = np.full(length + 1, np.nan)
    for origin, part in parts.tails.items():
        ends[origin] = costs[parts.stem.name] + costs[part.name]
    layers, numbers = np.arange(length), np.arange(1, length + 1)
    identities = np.array([-1 if gene is None else gene for gene in space.identities])

    def total(genomes: np.ndarray) -> np.ndarray:
        origins = np.zeros((len(genomes), length + 1), np.intp)  # of every layer's input, then of the tail's
        np.maximum.accumulate((genomes != identities) * numbers, axis=1, out=origins[:, 1:])
        return table[layers, origins[:, :-1], genomes].sum(axis=1) + ends[origins[:, -1]]

    return total
