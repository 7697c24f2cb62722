"""Cost tables: what the parts of a space's networks cost on a device, as a JSON file (tools/latency_table.py)."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from scarlet_tf.arch.block import SpecError
from scarlet_tf.arch.parts import parts_of, sum_of_parts
from scarlet_tf.arch.space import SearchSpace
from scarlet_tf.differences import name_differences
from scarlet_tf.files import write_atomically
from scarlet_tf.paths import as_path

FORMAT = "scarlet_tf.cost_table"
VERSION = 1


class CostTableError(ValueError):
    """Error for a file that is not a complete cost table, or for a table of another space; the message says which."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartCost:
    """Cost of a part, in the table's unit.

    Attributes:
        value: median of the measurements, less the table's `call`.
        p10, p90: their percentiles, less the call; None for a cost that was not measured.
        samples: number of measurements.
        estimated_from: name of the part that is the same choice with another input width, from which `value` was
            estimated, see `scarlet_tf.arch.parts.Estimate`; None if measured.
    """

    value: float
    p10: float | None = None
    p90: float | None = None
    samples: int = 0
    estimated_from: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """A network that was measured as a whole, in the run that measured the parts.

    Attributes:
        genome: its genome.
        measured: its cost.
        predicted: the table's cost, `scale` included.
    """

    genome: tuple[int, ...]
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """The relative error of the prediction, >= 0."""
        return abs(self.predicted / self.measured - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostTable:
    """What the parts of a space's networks cost on a device.

    A network costs `call` plus `scale` times the sum of its parts.

    Attributes:
        target: "host", "android" or "arm64".
        quantize: format of the files.
        unit: "ms" or "instructions".
        space: the search space.
        call: cost of calling an interpreter that computes nothing, which the costs of parts do not include.
        costs: part name -> cost, for every part of `parts_of(space)`.
        scale: mean over `fitted` of the measured cost, less the call, divided by the sum of the parts.
        fitted: random networks from which the scale comes.
        held_out: other random networks, which check the table; empty if the space has too few networks.
        device, versions, settings: JSON values that say what was measured, and how.

    Raises:
        CostTableError: for missing or unusable numbers.

    Example:
        >>> table = CostTable.load("arm64.json")
        >>> table.quantity()(table.space.random(np.random.default_rng(0), 2))  # (2,) instructions
    """

    target: str
    quantize: str
    unit: str
    space: SearchSpace
    call: float
    costs: Mapping[str, PartCost]
    scale: float
    fitted: tuple[NetworkCost, ...]
    held_out: tuple[NetworkCost, ...]
    device: Mapping
    versions: Mapping[str, str]
    settings: Mapping

    def __post_init__(self) -> None:
        for part in parts_of(self.space):
            if part.name not in self.costs:
                raise CostTableError(f"no cost of part {part.name!r} of space {self.space.name!r}")
        for name, cost in self.costs.items():
            if not _is_number(cost.value) or cost.value < 0:
                raise CostTableError(f"the cost of part {name!r} must be a number >= 0, got {cost.value!r}")
        if not _is_number(self.call):
            raise CostTableError(f"call must be a number, got {self.call!r}")
        if not _is_number(self.scale) or self.scale <= 0:
            raise CostTableError(f"scale must be a number > 0, got {self.scale!r}")

    def quantity(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return a function that predicts the cost of genomes: (n, num_layers) integers -> (n,) float64."""
        costs = {name: self.scale * cost.value for name, cost in self.costs.items()}
        stem = parts_of(self.space).stem.name
        return sum_of_parts(self.space, costs | {stem: costs[stem] + self.call})

    def check_space(self, space: SearchSpace) -> None:
        """Raise CostTableError unless the stand-alone networks of a space are those of the table's space."""
        if difference := name_differences(_networks(self.space), _networks(space)):
            raise CostTableError(f"the table is of another space than {space.name!r}: {difference}")

    @property
    def mean_error(self) -> float | None:
        """The mean relative error on the held-out networks."""
        return float(np.mean([network.error for network in self.held_out])) if self.held_out else None

    @property
    def max_error(self) -> float | None:
        """The largest relative error on the held-out networks."""
        return max((network.error for network in self.held_out), default=None)

    def to_dict(self) -> dict:
        """Return JSON values that `from_dict` reads."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "target": self.target,
            "quantize": self.quantize,
            "unit": self.unit,
            "device": dict(self.device),
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "calibration": {
                "scale": self.scale,
                "call": self.call,
                "networks": list(map(dataclasses.asdict, self.fitted)),
            },
            "held_out": {
                "mean_error": self.mean_error,
                "max_error": self.max_error,
                "networks": list(map(dataclasses.asdict, self.held_out)),
            },
            "space": self.space.to_dict(),
            "parts": {name: _without_defaults(cost) for name, cost in self.costs.items()},
        }

    @classmethod
    def from_dict(cls, data: object) -> CostTable:
        """Return the table of `to_dict`'s values.

        Raises:
            CostTableError: for another format or version, and for missing or invalid values.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise CostTableError(f"not a cost table: expected an object of format {FORMAT!r}")
        if data.get("version") != VERSION:
            raise CostTableError(f"unsupported version {data.get('version')!r} of a cost table: expected {VERSION}")
        try:
            return cls(
                **{name: data[name] for name in ("target", "quantize", "unit", "device", "versions", "settings")},
                space=SearchSpace.from_dict(data["space"]),
                costs={name: PartCost(**cost) for name, cost in data["parts"].items()},
                call=data["calibration"]["call"],
                scale=data["calibration"]["scale"],
                fitted=_networks_from(data["calibration"]["networks"]),
                held_out=_networks_from(data["held_out"]["networks"]),
            )
        except KeyError as error:
            raise CostTableError(f"the cost table lacks {error}") from error
        except (TypeError, AttributeError, SpecError) as error:
            raise CostTableError(f"the cost table is damaged: {error}") from error

    def save(self, path: str | os.PathLike) -> None:
        """Write the table to a JSON file, atomically."""
        write_atomically(path, json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike) -> CostTable:
        """Read a file that `save` wrote.

        Raises:
            CostTableError: as `from_dict`, naming the path.
            OSError: if the file cannot be read.
        """
        try:
            return cls.from_dict(json.loads(as_path(path).read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise CostTableError(f"{path}: {error}") from error


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _networks(space: SearchSpace) -> dict:
    """Return what the cost of a space's stand-alone networks depends on."""
    fields = space.with_identity("identity").to_dict()  # a LET is an identity there
    return {name: value for name, value in fields.items() if name not in ("name", "dropout")}


def _networks_from(networks: Iterable[Mapping]) -> tuple[NetworkCost, ...]:
    return tuple(NetworkCost(**{**network, "genome": tuple(network["genome"])}) for network in networks)


def _without_defaults(cost: PartCost) -> dict:
    return {f.name: value for f in dataclasses.fields(cost) if (value := getattr(cost, f.name)) != f.default}
