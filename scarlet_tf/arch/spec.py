"""ArchSpec, the description of a network.

Every network is an `ArchSpec`: the zoo names specs, a search space makes them from genomes, the builder turns them into
Keras models, the counter counts them. Specs are frozen, validated when they are created, and stored as JSON.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os

from scarlet_tf.arch.block import BlockSpec, SpecError, check_integers, check_that
from scarlet_tf.files import write_atomically
from scarlet_tf.image_size import ImageSize, canonical_image_size, height_and_width
from scarlet_tf.paths import as_path, no_such

FORMAT = "scarlet_tf.arch"
FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchSpec:
    """A whole network: stem, separable convolution, blocks, tail, classifier (paper: "Search Space").

    Attributes:
        name: name of the network.
        blocks: the layers between the separable convolution and the tail.
        resolution: input size that the network is meant for, in pixels: one side, or (height, width).
        input_channels: channels of the input image.
        stem_channels, stem_stride: output channels and stride of the 3x3 stem convolution.
        first_channels: output channels of the separable convolution after the stem.
        tail_channels: output channels of the 1x1 tail convolution before the global pool.
        classes: outputs of the classifier.
        dropout: rate before the classifier, in [0, 1).
        genome: the genes that the blocks came from; None for a network that is not from a search space.
        space: the name of that search space.

    Raises:
        SpecError: for a network that cannot be built.

    Example:
        >>> block = BlockSpec(kind="let", in_channels=16, out_channels=24)
        >>> ArchSpec(name="tiny", blocks=(block,)).feature_channels
        24
    """

    name: str
    blocks: tuple[BlockSpec, ...]
    resolution: ImageSize = 224
    input_channels: int = 3
    stem_channels: int = 32
    stem_stride: int = 2
    first_channels: int = 16
    tail_channels: int = 1280
    classes: int = 1000
    dropout: float = 0.2
    genome: tuple[int, ...] | None = None
    space: str | None = None

    def __post_init__(self) -> None:
        owner = f"spec {self.name!r}"
        check_that(
            isinstance(self.name, str) and self.name != "", f"spec name must be a non-empty string, got {self.name!r}"
        )
        resolution = canonical_image_size(self.resolution, what=f"{owner}: resolution", error=SpecError)
        object.__setattr__(self, "resolution", resolution)
        sizes = ("input_channels", "stem_channels", "first_channels", "tail_channels", "classes")
        check_integers(owner, {field: (getattr(self, field), 1) for field in sizes})
        check_that(self.stem_stride in (1, 2), f"{owner}: stem_stride must be 1 or 2, got {self.stem_stride!r}")
        number = isinstance(self.dropout, (int, float)) and not isinstance(self.dropout, bool)
        check_that(number and 0 <= self.dropout < 1, f"{owner}: dropout must be in [0, 1), got {self.dropout!r}")
        width = self.first_channels
        for i, block in enumerate(self.blocks):
            check_that(isinstance(block, BlockSpec), f"{owner}: block {i} must be a BlockSpec, got {block!r}")
            check_that(
                block.in_channels == width,
                f"{owner}: block {i} has {block.in_channels} input channels, but the layer before it outputs {width}",
            )
            width = block.out_channels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The input shape that the network is meant for: (height, width, channels)."""
        return (*height_and_width(self.resolution), self.input_channels)

    @property
    def feature_channels(self) -> int:
        """Input channels of the tail convolution."""
        return self.blocks[-1].out_channels if self.blocks else self.first_channels

    def to_dict(self) -> dict:
        blocks = [block.to_dict() for block in self.blocks]
        return {"format": FORMAT, "version": FORMAT_VERSION, **dataclasses.asdict(self), "blocks": blocks}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_dict(cls, data: object) -> ArchSpec:
        """Return the spec of `to_dict`'s values.

        Raises:
            SpecError: for another format or version, and for unknown or missing fields.
        """
        check_that(isinstance(data, dict), f"an ArchSpec must be a JSON object, got {type(data).__name__}")
        check_that("layers" not in data, "a search space, not a network: name one as SPACE.json:GENES")
        check_that(
            data.get("format") == FORMAT, f"not an ArchSpec: expected format {FORMAT!r}, got {data.get('format')!r}"
        )
        version = data.get("version")
        check_that(version == FORMAT_VERSION, f"unsupported ArchSpec version {version!r}: expected {FORMAT_VERSION}")
        fields = {key: value for key, value in data.items() if key not in ("format", "version")}
        blocks = fields.get("blocks")
        check_that(isinstance(blocks, (list, tuple)), f"ArchSpec blocks must be a list, got {blocks!r}")
        fields["blocks"] = tuple(_from_fields(BlockSpec, block) for block in blocks)
        if fields.get("genome") is not None:
            check_that(isinstance(fields["genome"], (list, tuple)), f"genome must be a list, got {fields['genome']!r}")
            fields["genome"] = tuple(fields["genome"])
        return _from_fields(cls, fields)

    @classmethod
    def from_json(cls, text: str) -> ArchSpec:
        try:
            data = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise SpecError(f"not JSON: {error}") from error
        return cls.from_dict(data)

    def save(self, path: str | os.PathLike) -> None:
        """Write the spec to a JSON file, atomically."""
        write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike) -> ArchSpec:
        """Read a JSON file.

        Raises:
            FileNotFoundError: for a missing file.
            SpecError: for a damaged file or another version, naming the path.
        """
        if not as_path(path).exists():
            raise FileNotFoundError(no_such(path))
        try:
            return cls.from_json(as_path(path).read_text(encoding="utf-8"))
        except (SpecError, UnicodeDecodeError) as error:
            raise SpecError(f"{path}: {error}") from error


def _from_fields(cls: type, fields: object):
    check_that(isinstance(fields, dict), f"{cls.__name__} must be a JSON object, got {fields!r}")
    known = {field.name: field for field in dataclasses.fields(cls)}
    for key in fields:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0)
            raise SpecError(f"{cls.__name__} has no field {key!r}: nearest is {nearest[0]!r}")
    missing = [n for n, f in known.items() if f.default is dataclasses.MISSING and n not in fields]
    check_that(not missing, f"{cls.__name__} lacks {', '.join(missing)}")
    return cls(**fields)
