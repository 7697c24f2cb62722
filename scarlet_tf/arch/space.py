"""Search spaces: genome <-> ArchSpec (paper: Table 1, "Search Space").

Choice index of a layer: 6*(expansion == 6) + {3: 0, 5: 2, 7: 4}[kernel] + SE for 0..11; 12 is identity, which carries
the linearly equivalent transformation (LET) in the supernet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from scarlet_tf.arch.spec import ArchSpec, BlockSpec, SpecError
from scarlet_tf.choices import require_known
from scarlet_tf.image_size import ImageSize, check_image_size

KERNELS = (3, 5, 7)
EXPANSIONS = (3, 6)
IDENTITY = 12
NUM_CHOICES = 13
IDENTITIES = ("let", "plain", "none")


def choice_index(*, expansion: int, kernel_size: int, se: bool) -> int:
    """Table 1's index of an inverted residual block."""
    return 6 * EXPANSIONS.index(expansion) + 2 * KERNELS.index(kernel_size) + int(se)


def choice_fields(choice: int) -> tuple[int, int, bool]:
    """(expansion, kernel_size, se) of an inverted residual choice 0..11."""
    return EXPANSIONS[choice // 6], KERNELS[choice % 6 // 2], bool(choice % 2)


def block_spec(choice: int, in_channels: int, *, out_channels: int, stride: int, let: bool) -> BlockSpec:
    """The block that a choice stands for in a layer with this input width.

    Identity keeps `in_channels` in a stand-alone model; with `let=True` it is the LET to `out_channels`.
    """
    if choice == IDENTITY:
        kind, width = ("let", out_channels) if let else ("identity", in_channels)
        return BlockSpec(kind=kind, in_channels=in_channels, out_channels=width, stride=stride)
    expansion, kernel_size, se = choice_fields(choice)
    hidden = in_channels * expansion
    return BlockSpec(
        kind="inverted_residual",
        in_channels=in_channels,
        out_channels=out_channels,
        stride=stride,
        kernel_size=kernel_size,
        hidden_channels=hidden,
        se_channels=hidden // 4 if se else 0,
        shortcut=stride == 1 and in_channels == out_channels,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Layers with 13 choices each, between a fixed stem and tail.

    Attributes:
        out_channels, strides: one entry a searchable layer.
        identity: what choice 12 is in the supernet. "let": the LET. "plain" (the paper's baseline, Fig. 1): nothing
            is learnt; where a layer changes the channel count, the channels that both have pass on, and new ones are
            zero. "none": there is no choice 12.
        The rest as in ArchSpec.
    """

    name: str
    out_channels: tuple[int, ...]
    strides: tuple[int, ...]
    resolution: ImageSize = 224
    stem_channels: int = 32
    stem_stride: int = 2
    first_channels: int = 16
    tail_channels: int = 1280
    classes: int = 1000
    dropout: float = 0.2
    identity: str = "let"

    def __post_init__(self) -> None:
        require_known("identity", self.identity, IDENTITIES, error=SpecError)
        resolution = check_image_size(self.resolution, what=f"space {self.name!r}: resolution", error=SpecError)
        object.__setattr__(self, "resolution", resolution)
        if not self.out_channels or len(self.out_channels) != len(self.strides):
            raise SpecError(
                f"space {self.name!r}: out_channels and strides must have one entry a layer, "
                f"got {len(self.out_channels)} and {len(self.strides)}"
            )
        self.spec((0,) * self.num_layers)

    @property
    def num_layers(self) -> int:
        return len(self.out_channels)

    @property
    def num_choices(self) -> int:
        return NUM_CHOICES - (self.identity == "none")

    @property
    def size(self) -> int:
        """Number of models, num_choices ** num_layers."""
        return self.num_choices**self.num_layers

    def to_dict(self) -> dict:
        """The fields; `identity` only where it is not the LET, as in records made before it was a field."""
        fields = dataclasses.asdict(self)
        if self.identity == "let":
            del fields["identity"]
        return fields

    def check(self, genome: Sequence[int]) -> tuple[int, ...]:
        """The genome as a tuple of ints; SpecError where it is not one of this space."""
        values = tuple(genome)
        if len(values) != self.num_layers:
            others = [name for name in list_spaces() if _SPACES[name].num_layers == len(values)]
            hint = f", as space {' or '.join(map(repr, others))} has" if others else ""
            raise SpecError(f"a genome of space {self.name!r} has {self.num_layers} genes, got {len(values)}{hint}")
        for layer, gene in enumerate(values):
            integral = isinstance(gene, (int, np.integer)) and not isinstance(gene, bool)
            if not integral or not 0 <= gene < self.num_choices:
                raise SpecError(f"gene {layer} must be an integer in 0..{self.num_choices - 1}, got {gene!r}")
        return tuple(int(gene) for gene in values)

    def parse(self, text: str) -> tuple[int, ...]:
        """A genome from text like "4,8,2"."""
        try:
            return self.check([int(part) for part in text.split(",")])
        except ValueError as error:
            raise SpecError(f"bad genome {text!r}: {error}") from error

    def random(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n genomes drawn uniformly, (n, num_layers) int64."""
        return rng.integers(0, self.num_choices, (n, self.num_layers))

    def spec(self, genome: Sequence[int], *, let: bool = False, name: str | None = None) -> ArchSpec:
        """The stand-alone model of a genome; with `let=True` the supernet's path, LETs kept (paper: Fig. 2)."""
        genome = self.check(genome)
        blocks, width = [], self.first_channels
        for choice, out_channels, stride in zip(genome, self.out_channels, self.strides, strict=True):
            blocks.append(block_spec(choice, width, out_channels=out_channels, stride=stride, let=let))
            width = blocks[-1].out_channels
        return ArchSpec(
            name=name or f"{self.name}_" + "_".join(map(str, genome)),
            blocks=tuple(blocks),
            resolution=self.resolution,
            stem_channels=self.stem_channels,
            stem_stride=self.stem_stride,
            first_channels=self.first_channels,
            tail_channels=self.tail_channels,
            classes=self.classes,
            dropout=self.dropout,
            genome=genome,
            space=self.name,
        )

    def genome_of(self, spec: ArchSpec) -> tuple[int, ...]:
        """The genome whose model (stand-alone or with LETs) this is; SpecError where there is none."""
        if len(spec.blocks) == self.num_layers:
            genome = tuple(_choice_of(block) for block in spec.blocks)
            for let in (False, True):
                if None not in genome and self.spec(genome, let=let).blocks == spec.blocks:
                    return genome
        raise SpecError(f"spec {spec.name!r} is not a model of space {self.name!r}")


def _choice_of(block: BlockSpec) -> int | None:
    if block.kind != "inverted_residual":
        return IDENTITY
    expansion, rest = divmod(block.hidden_channels, block.in_channels)
    if rest or expansion not in EXPANSIONS:
        return None
    return choice_index(expansion=expansion, kernel_size=block.kernel_size, se=block.has_se)


SCARLET = SearchSpace(
    name="scarlet",
    out_channels=(32, 32, 40, 40, 40, 40, 80, 80, 80, 80, 96, 96, 96, 96, 192, 192, 192, 192, 320),
    strides=(2, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1),
)

# For 32x32 images on two cores: fewer and narrower layers, the same 13 choices. Only the stem works on 16x16 maps, the
# searchable layers on 8x8 and 4x4, because a supernet learns slowly and needs many cheap steps.
SMALL = SearchSpace(
    name="small",
    out_channels=(8, 8, 24, 24, 32, 32),
    strides=(2, 1, 2, 1, 1, 1),
    resolution=32,
    stem_channels=16,
    first_channels=8,
    tail_channels=128,
    classes=10,
)

_SPACES = {space.name: space for space in (SCARLET, SMALL)}


def list_spaces() -> list[str]:
    return sorted(_SPACES)


def get_space(name: str, *, classes: int | None = None) -> SearchSpace:
    """A preset by name, with another class count where given; SpecError names the nearest preset."""
    require_known("search space", name, sorted(_SPACES), error=SpecError)
    space = _SPACES[name]
    return space if classes is None else dataclasses.replace(space, classes=classes)
