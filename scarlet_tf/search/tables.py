"""Quantities from files: tables of what each choice of each layer costs, such as measured latencies."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.search.objectives import QUANTITIES, CheapQuantity, ObjectiveError, add_quantities, from_table

_FORM = 'expected {"table": [[a number for each choice] for each layer], "constant": a number for stem and tail}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantityTable:
    """A quantity that is a sum over layers.

    Attributes:
        path: of the file that it comes from.
        values: (num_layers, num_choices) float64.
        constant: what every model costs besides, 0 where the file does not say.
    """

    path: str
    values: np.ndarray
    constant: float

    def quantity(self, space: SearchSpace) -> CheapQuantity:
        """For models of a space; ObjectiveError where the table is not of its layers and choices."""
        shape = (space.num_layers, space.num_choices)
        if self.values.shape != shape:
            raise ObjectiveError(
                f"{self.path}: the table of a quantity in space {space.name!r} must be of shape {shape}, (layers, "
                f"choices), got {self.values.shape}"
            )
        return from_table(self.values, constant=self.constant)


def parse_quantities(texts: Sequence[str]) -> dict[str, QuantityTable]:
    """Tables by name from texts like "latency_ms:table.json".

    Raises:
        ObjectiveError: for a text of another form, or a name that is no word, is taken or is given twice; for a file
            that is not a JSON object of "table" and, if wanted, "constant", in finite numbers.
        OSError: for a file that cannot be read.
    """
    tables: dict[str, QuantityTable] = {}
    for text in texts:
        name, colon, path = text.partition(":")
        if not colon or not path:
            raise ObjectiveError(f"bad quantity {text!r}: expected NAME:FILE, such as latency_ms:table.json")
        add_quantities(dict.fromkeys((*QUANTITIES[1:], *tables)), {name: None})
        tables[name] = read_table(path)
    return tables


def read_table(path: str | os.PathLike) -> QuantityTable:
    """One table; errors as for `parse_quantities`."""
    try:
        read = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ObjectiveError(f"{path}: not JSON ({error})") from error
    if not isinstance(read, Mapping) or "table" not in read or not read.keys() <= {"table", "constant"}:
        found = f"an object of {sorted(read)}" if isinstance(read, Mapping) else type(read).__name__
        raise ObjectiveError(f"{path}: {_FORM}, got {found}")
    values, constant = (_numbers(path, what, read.get(what, 0.0)) for what in ("table", "constant"))
    if values.ndim != 2 or constant.ndim != 0:
        raise ObjectiveError(f"{path}: {_FORM}, got shapes {values.shape} and {constant.shape}")
    return QuantityTable(path=str(path), values=values, constant=float(constant))


def _numbers(path: str | os.PathLike, what: str, value: object) -> np.ndarray:
    try:
        numbers = np.array(value)  # not of a type: that would take "3" for a number
    except ValueError:
        raise ObjectiveError(f"{path}: the rows of its {what} are not of one length") from None
    if numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        raise ObjectiveError(f"{path}: its {what} must hold finite numbers only")
    return numbers.astype(np.float64)
