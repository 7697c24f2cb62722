"""Files of quantities that are sums over a network, such as measured latencies."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence

from scarlet_tf.arch import SearchSpace
from scarlet_tf.arch.cost_table import FORMAT, CostTable, CostTableError
from scarlet_tf.paths import as_path
from scarlet_tf.search.objectives import QUANTITIES, CheapQuantity, ObjectiveError, add_quantities, from_table

_FORM = (
    'expected a table of latency_table.py, or {"table": [[a number for each choice] for each layer], "constant": a '
    "number for stem and tail}"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantityTable:
    """A quantity that is a sum over layers, read from a file.

    Attributes:
        path: the file.
        values: for each layer, the contribution of each choice.
        constant: contribution of stem and tail; 0 if the file has none.
    """

    path: str
    values: tuple[tuple[float, ...], ...]
    constant: float

    def quantity(self, space: SearchSpace) -> CheapQuantity:
        """Return the quantity for a space; raise ObjectiveError if its layers and choices do not match the table."""
        found = tuple(map(len, self.values))
        if found != space.num_choices:
            raise ObjectiveError(
                f"{self.path}: the table of a quantity in space {space.name!r} must have a number for every choice of "
                f"every layer, {_describe(space.num_choices)}, got {_describe(found)}"
            )
        return from_table(self.values, constant=self.constant)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostQuantity:
    """A quantity that is a sum over the parts of a network, read from a file of tools/latency_table.py.

    Attributes:
        path: the file.
        table: its content.
    """

    path: str
    table: CostTable

    def quantity(self, space: SearchSpace) -> CheapQuantity:
        """Return the quantity for a space; raise ObjectiveError if the table is of another space."""
        try:
            self.table.check_space(space)
        except CostTableError as error:
            raise ObjectiveError(f"{self.path}: {error}") from error
        return self.table.quantity()


def parse_quantities(texts: Sequence[str]) -> dict[str, QuantityTable | CostQuantity]:
    """Read the tables that texts like "latency_ms:table.json" name; return them by name.

    Raises:
        ObjectiveError: for a text of another form; for a name that is not an identifier, taken, or given twice; for a
            file that is neither a cost table nor a JSON object of "table" and optionally "constant", in finite numbers.
        OSError: if a file cannot be read.
    """
    tables: dict[str, QuantityTable | CostQuantity] = {}
    for text in texts:
        name, colon, path = text.partition(":")
        if not colon or not path:
            raise ObjectiveError(f"invalid quantity {text!r}: expected NAME:FILE, such as latency_ms:table.json")
        add_quantities(dict.fromkeys((*QUANTITIES[1:], *tables)), {name: None})
        tables[name] = read_table(path)
    return tables


def read_table(path: str | os.PathLike) -> QuantityTable | CostQuantity:
    """Read a table of tools/latency_table.py or a table over layers; the errors are those of `parse_quantities`.

    Example:
        >>> latency = read_table("latency.json").quantity(get_space("small"))
        >>> latency(np.array([[12, 1, 12, 6, 3, 8]]))  # (1,) values
    """
    try:
        read = json.loads(as_path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ObjectiveError(f"{path}: not JSON ({error})") from error
    if isinstance(read, Mapping) and read.get("format") == FORMAT:
        try:
            return CostQuantity(path=str(path), table=CostTable.from_dict(read))
        except CostTableError as error:
            raise ObjectiveError(f"{path}: {error}") from error
    if not isinstance(read, Mapping) or "table" not in read or not read.keys() <= {"table", "constant"}:
        found = f"an object of {sorted(read)}" if isinstance(read, Mapping) else type(read).__name__
        raise ObjectiveError(f"{path}: {_FORM}, got {found}")
    table, constant = read["table"], read.get("constant", 0.0)
    if not isinstance(table, list) or not table or not all(isinstance(row, list) and row for row in table):
        raise ObjectiveError(f"{path}: {_FORM}, got a table that is not a list of lists")
    for what, values in (("table", [value for row in table for value in row]), ("constant", [constant])):
        wrong = next((value for value in values if not _is_number(value)), None)
        if wrong is not None or None in values:
            raise ObjectiveError(f"{path}: its {what} must hold finite numbers only, got {wrong!r}")
    return QuantityTable(
        path=str(path), values=tuple(tuple(map(float, row)) for row in table), constant=float(constant)
    )


def _is_number(value: object) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer above the largest float
        return False


def _describe(choices: Sequence[int]) -> str:
    """(13, 13, 13) -> "3 layers of 13"; (4, 3) -> "layers of 4, 3"."""
    if len(set(choices)) == 1:
        return f"{len(choices)} {'layers' if len(choices) > 1 else 'layer'} of {choices[0]}"
    return f"layers of {', '.join(map(str, choices))}"
