"""Search spaces: the choices of every layer, and the networks that genomes describe (paper: Table 1)."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
from collections.abc import Sequence
from importlib import resources

import numpy as np

from scarlet_tf.arch.block import BlockSpec, SpecError, check_that
from scarlet_tf.arch.choice import Choice
from scarlet_tf.arch.spec import ArchSpec
from scarlet_tf.choices import check_known
from scarlet_tf.image_size import ImageSize, canonical_image_size
from scarlet_tf.paths import as_path, no_such

Table = tuple[tuple[Choice, ...], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Searchable layers between a fixed stem and tail.

    A genome holds one gene per layer: an index into that layer's choices. Fields that are not listed here are those
    of ArchSpec.

    Attributes:
        name: name of the space.
        out_channels, strides: one entry per layer.
        choices: the choices of every layer, or one list of choices for all layers. Default: Table 1 of the paper.
            A layer has at most one identity.

    Raises:
        SpecError: for a space that cannot be built.

    Example:
        >>> choices = choices_from(["e4 k3", "e4 k9 se", "let"])
        >>> space = SearchSpace(name="mine", out_channels=(16, 24), strides=(2, 1), choices=choices)
        >>> space.spec((0, 2)).blocks[1].kind
        'identity'
    """

    name: str
    out_channels: tuple[int, ...]
    strides: tuple[int, ...]
    choices: Table | None = None
    resolution: ImageSize = 224
    stem_channels: int = 32
    stem_stride: int = 2
    first_channels: int = 16
    tail_channels: int = 1280
    classes: int = 1000
    dropout: float = 0.2

    def __post_init__(self) -> None:
        owner = f"space {self.name!r}"
        resolution = canonical_image_size(self.resolution, what=f"{owner}: resolution", error=SpecError)
        object.__setattr__(self, "resolution", resolution)
        if self.choices is None:
            object.__setattr__(self, "choices", table_1())
        for field in ("out_channels", "strides", "choices"):
            value = getattr(self, field)
            check_that(isinstance(value, tuple), f"{owner}: {field} must be a list, got {value!r}")
        check_that(
            bool(self.out_channels) and len(self.out_channels) == len(self.strides),
            f"{owner}: out_channels and strides must have one entry per layer, "
            f"got {len(self.out_channels)} and {len(self.strides)}",
        )
        check_that(
            len(self.choices) in (1, self.num_layers),
            f"{owner}: choices must be one list for each of the {self.num_layers} layers, or one list for all, "
            f"got {len(self.choices)} lists",
        )
        for layer, options in enumerate(self.choices):
            _check_choices(options, owner=f"{owner}, layer {layer}")
        if len(set(self.choices)) == 1:
            object.__setattr__(self, "choices", self.choices[:1])
        self.spec((0,) * self.num_layers)

    @property
    def num_layers(self) -> int:
        return len(self.out_channels)

    @functools.cached_property
    def layer_choices(self) -> Table:
        """The choices of every layer."""
        return self.choices if len(self.choices) == self.num_layers else self.choices * self.num_layers

    @functools.cached_property
    def num_choices(self) -> tuple[int, ...]:
        """The number of choices of every layer."""
        return tuple(map(len, self.layer_choices))

    @functools.cached_property
    def identities(self) -> tuple[int | None, ...]:
        """For every layer, the gene that skips it; None if it cannot be skipped."""
        return tuple(
            next((gene for gene, choice in enumerate(options) if choice.is_identity), None)
            for options in self.layer_choices
        )

    @property
    def size(self) -> int:
        """The number of models, the product of `num_choices`."""
        return math.prod(self.num_choices)

    def skips(self, genomes: np.ndarray) -> np.ndarray:
        """Return where genomes skip layers: (n, num_layers) integers -> (n, num_layers) bool."""
        return np.asarray(genomes) == np.array([-1 if gene is None else gene for gene in self.identities])

    def with_identity(self, kind: str) -> SearchSpace:
        """Return the space with another identity, or none, in the layers that have one.

        Args:
            kind: "let", "identity" or "none".
        """
        check_known("identity", kind, ("let", "identity", "none"), error=SpecError)
        new = () if kind == "none" else (Choice(kind=kind),)
        choices = tuple(
            tuple(each for choice in options for each in (new if choice.is_identity else (choice,)))
            for options in self.choices
        )
        return dataclasses.replace(self, choices=choices)

    def check(self, genome: Sequence[int]) -> tuple[int, ...]:
        """Return the genome as a tuple of ints; raise SpecError if it is not one of this space."""
        values = tuple(genome)
        if len(values) != self.num_layers:
            others = [name for name in list_spaces() if get_space(name).num_layers == len(values)]
            hint = f", as space {' or '.join(map(repr, others))} has" if others else ""
            raise SpecError(f"a genome of space {self.name!r} has {self.num_layers} genes, got {len(values)}{hint}")
        for layer, (gene, count) in enumerate(zip(values, self.num_choices, strict=True)):
            integral = isinstance(gene, (int, np.integer)) and not isinstance(gene, bool)
            if not integral or not 0 <= gene < count:
                raise SpecError(f"gene {layer} must be an integer in 0..{count - 1}, got {gene!r}")
        return tuple(int(gene) for gene in values)

    def parse(self, text: str) -> tuple[int, ...]:
        """Parse a genome such as "4,8,2"; raise SpecError if it is not one of this space."""
        try:
            return self.check([int(part) for part in text.split(",")])
        except ValueError as error:
            raise SpecError(f"invalid genome {text!r}: {error}") from error

    def random(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw n genomes uniformly: (n, num_layers) int64."""
        return rng.integers(0, np.array(self.num_choices), (n, self.num_layers))

    def block(self, layer: int, gene: int, in_channels: int, *, let: bool = False) -> BlockSpec:
        """Return the block of a gene in a layer; the arguments are those of `Choice.block`."""
        choice = self.layer_choices[layer][gene]
        return choice.block(in_channels, out_channels=self.out_channels[layer], stride=self.strides[layer], let=let)

    def spec(self, genome: Sequence[int], *, let: bool = False, name: str | None = None) -> ArchSpec:
        """Return the network of a genome.

        Args:
            genome: one gene per layer.
            let: return the supernet's path, which has LETs (paper: Fig. 2), instead of the stand-alone model.
            name: name of the spec. Default: the name of the space, and the genome.

        Raises:
            SpecError: if the genome is not one of this space.
        """
        genome = self.check(genome)
        blocks, width = [], self.first_channels
        for layer, gene in enumerate(genome):
            blocks.append(self.block(layer, gene, width, let=let))
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
        """Return the genome of a spec, stand-alone or with LETs; raise SpecError if the space does not contain it."""
        for let in (False, True):
            genome = self._genome_of(spec, let=let)
            if genome is not None:
                return genome
        raise SpecError(f"spec {spec.name!r} is not a model of space {self.name!r}")

    def _genome_of(self, spec: ArchSpec, *, let: bool) -> tuple[int, ...] | None:
        if len(spec.blocks) != self.num_layers:
            return None
        genome, width = [], self.first_channels
        for layer, block in enumerate(spec.blocks):
            genes = range(self.num_choices[layer])
            gene = next((gene for gene in genes if self.block(layer, gene, width, let=let) == block), None)
            if gene is None:
                return None
            genome.append(gene)
            width = block.out_channels
        return tuple(genome)

    def to_dict(self) -> dict:
        """Return JSON values that `from_dict` reads.

        If all layers have the paper's Table 1, `choices` is omitted, and `identity` is written only if it is not a
        LET. Records older than `choices` have this form, so their fingerprints do not change.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "choices"}
        identity = _identity_of_table_1(self.choices)
        if identity is not None:
            return fields if identity == "let" else fields | {"identity": identity}
        del fields["out_channels"], fields["strides"]
        layers = zip(self.out_channels, self.strides, self.layer_choices, strict=True)
        return fields | {
            "layers": [
                {"out_channels": width, "stride": stride, "choices": list(map(str, options))}
                for width, stride, options in layers
            ]
        }

    @classmethod
    def from_dict(cls, data: object) -> SearchSpace:
        """Return the space of `to_dict`'s values, or of those in a space file (see docs/own_space.md).

        Raises:
            SpecError: for an invalid field or value, naming it and the nearest valid one.
        """
        check_that(isinstance(data, dict), f"a search space must be a JSON object, got {type(data).__name__}")
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        if "layers" in fields:
            for field in ("out_channels", "strides"):
                check_that(
                    field not in fields, f"a search space with layers must set {field} in each layer, not beside them"
                )
            fields |= _read_layers(fields.pop("layers"), fields.pop("choices", {}))
        else:
            identity = {"plain": "identity"}.get(name := fields.pop("identity", "let"), name)
            space = _make(cls, fields)
            return space if identity == "let" else space.with_identity(identity)
        return _make(cls, fields)

    @classmethod
    def load(cls, path: str | os.PathLike) -> SearchSpace:
        """Read a space file.

        Raises:
            FileNotFoundError: for a missing file.
            SpecError: for a file that is not a search space, naming the path.
        """
        if not as_path(path).is_file():
            raise FileNotFoundError(no_such(path))
        try:
            return cls.from_dict(json.loads(as_path(path).read_text(encoding="utf-8")))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise SpecError(f"{path}: not JSON: {error}") from error
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from error


def choices_from(*tables: Sequence[str]) -> Table:
    """Parse a space's `choices`: one list of texts per layer, or one list for all layers.

    Raises:
        SpecError: for a text that `Choice.parse` rejects.
    """
    return tuple(tuple(map(Choice.parse, table)) for table in tables)


@functools.cache
def table_1() -> Table:
    """Return the choices of the paper's Table 1, the same in every layer."""
    return get_space("scarlet").choices[:1]


def list_spaces() -> list[str]:
    """Return the names of the spaces in the package, sorted."""
    return sorted(path.name.removesuffix(".json") for path in _folder().iterdir() if path.name.endswith(".json"))


@functools.cache
def _packaged(name: str) -> SearchSpace:
    return SearchSpace.from_dict(json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8")))


def get_space(name: str | os.PathLike, *, classes: int | None = None) -> SearchSpace:
    """Return a space by name or from a .json file.

    Args:
        name: one of `list_spaces()`, or the path of a .json file.
        classes: number of classes. Default: the space's own.

    Raises:
        SpecError: for an unknown name, naming the nearest, or a file that is not a search space.
        FileNotFoundError: for a missing file.

    Example:
        >>> get_space("scarlet").num_layers
        19
    """
    if str(name).endswith(".json"):
        space = SearchSpace.load(name)
    else:
        check_known("search space", name, list_spaces(), error=SpecError)
        space = _packaged(name)
    return space if classes is None else dataclasses.replace(space, classes=classes)


def _folder():
    return resources.files("scarlet_tf.arch") / "spaces"


def _check_choices(options: Sequence[Choice], *, owner: str) -> None:
    check_that(len(options) > 0, f"{owner}: needs at least one choice, got none")
    for option in options:
        check_that(isinstance(option, Choice), f"{owner}: a choice must be a Choice, got {option!r}")
        check_that(options.count(option) == 1, f"{owner}: choice {str(option)!r} is listed twice")
    identities = [str(option) for option in options if option.is_identity]
    check_that(len(identities) < 2, f"{owner}: must have at most one identity, got {' and '.join(identities)}")


def _identity_of_table_1(choices: Table) -> str | None:
    """Return "let", "plain" or "none" if every layer has Table 1's choices with that identity; else None."""
    *blocks, _ = table_1()[0]
    for identity, last in (("let", "let"), ("plain", "identity"), ("none", None)):
        table = (*blocks, *([] if last is None else [Choice(kind=last)]))
        if all(options == table for options in choices):
            return identity
    return None


def _read_layers(layers: object, tables: object) -> dict:
    """Return the fields that a space file's "layers" and its named tables of choices describe."""
    check_that(
        isinstance(layers, (list, tuple)) and len(layers) > 0, f"layers must be a list of objects, got {layers!r}"
    )
    check_that(isinstance(tables, dict), f"choices must be an object of named lists, got {tables!r}")
    read = [_read_layer(layer, tables, index) for index, layer in enumerate(layers)]
    widths, strides, choices = zip(*read, strict=True)
    return {"out_channels": widths, "strides": strides, "choices": choices}


def _read_layer(layer: object, tables: dict, index: int) -> tuple[int, int, tuple[Choice, ...]]:
    owner = f"layer {index}"
    check_that(isinstance(layer, dict), f"{owner} must be an object, got {layer!r}")
    known = ("out_channels", "stride", "choices")
    for field in layer:
        check_known(f"field of {owner}:", field, known, error=SpecError)
    missing = [field for field in known if field not in layer]
    check_that(not missing, f"{owner} lacks {', '.join(missing)}")
    options = layer["choices"]
    if isinstance(options, str):
        check_that(bool(tables), f"{owner}: unknown table of choices {options!r}: the file defines none")
        check_known(f"table of choices in {owner}:", options, tuple(tables), error=SpecError)
        options = tables[options]
    check_that(isinstance(options, list), f"{owner}: choices must be a list or the name of a table, got {options!r}")
    try:
        return layer["out_channels"], layer["stride"], tuple(map(Choice.parse, options))
    except SpecError as error:
        raise SpecError(f"{owner}: {error}") from error


def _make(cls: type[SearchSpace], fields: dict) -> SearchSpace:
    known = [field.name for field in dataclasses.fields(cls)]
    for field in fields:
        check_known("field of a search space:", field, (*known, "layers"), error=SpecError)
    required = ("name", "out_channels", "strides")
    missing = [field for field in required if field not in fields]
    check_that(not missing, f"a search space lacks {', '.join(missing)}")
    return cls(**fields)
