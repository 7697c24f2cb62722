"""Cost tables: what each form of an operator costs on a target, as JSON files, shipped or in the user's cache."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path

from scarlet_tf.files import user_cache, write_atomically
from scarlet_tf.paths import as_path
from scarlet_tf.tflite.forms import PLAIN
from scarlet_tf.tflite.forms.signature import Signature

_SHIPPED = Path(__file__).parent
_FIELDS = ("target", "unit", "runtime", "cpu", "costs")


class FormCostsError(ValueError):
    """Error for a file that is not a cost table."""


def runtime_version() -> str:
    """Return the version of LiteRT that is installed, such as "2.3.0"."""
    return importlib.metadata.version("ai-edge-litert")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormCosts:
    """Costs of operators in each of their forms, on one target.

    Attributes:
        target: such as "cortex-a76".
        unit: of the costs: "instructions" or "ms".
        runtime: version of LiteRT that the costs were measured with.
        cpu: what they were measured on.
        costs: by the canonical text of a signature, then by the name of a variant; each has "plain".

    Raises:
        FormCostsError: for signatures that are none, and costs that are not positive numbers.
    """

    target: str
    unit: str
    runtime: str
    cpu: str
    costs: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for text, forms in self.costs.items():
            try:
                Signature.parse(text)
            except ValueError as error:
                raise FormCostsError(f"costs for {self.target}: {error}") from error
            if PLAIN not in forms or not all(_is_cost(cost) for cost in forms.values()):
                raise FormCostsError(f"costs for {self.target}: expected positive costs, with {PLAIN!r}, of {text}")

    def with_costs(self, costs: Mapping[str, Mapping[str, float]]) -> FormCosts:
        """Return the table with more costs, which replace those of the same signatures."""
        return dataclasses.replace(self, costs={**self.costs, **costs})


def _is_cost(cost: object) -> bool:
    return isinstance(cost, int | float) and not isinstance(cost, bool) and cost > 0


def read_table(path: str | os.PathLike) -> FormCosts:
    """Read a cost table.

    Raises:
        FormCostsError: for a file that is not one; OSError if it cannot be read.
    """
    try:
        fields = json.loads(as_path(path).read_text(encoding="utf-8"))
        return FormCosts(**{name: fields[name] for name in _FIELDS})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormCostsError(f"{os.fspath(path)} is not a cost table: {error}") from error


def write_table(table: FormCosts, path: str | os.PathLike) -> None:
    """Write a cost table atomically, with its signatures in order, a line each."""
    head = {name: getattr(table, name) for name in _FIELDS[:-1]}
    rows = [f"{json.dumps(text)}: {json.dumps(dict(table.costs[text]))}" for text in sorted(table.costs)]
    text = json.dumps(head, indent=1)[:-2] + ',\n "costs": {\n  ' + ",\n  ".join(rows) + "\n }\n}\n"
    write_atomically(path, text)


def shipped_path(target: str) -> Path:
    """Return where the package keeps the table of a target; "host" and "android" have none."""
    return _SHIPPED / f"{target}.json"


def cached_path(target: str, *, runtime: str) -> Path:
    """Return where the user's cache keeps what was measured for a target with a version of LiteRT."""
    return user_cache() / "form_costs" / f"{target}_{runtime}.json"


def load_table(target: str) -> FormCosts | None:
    """Return the costs known for a target: those in the user's cache, measured with the installed LiteRT, and shipped.

    Shipped costs count whatever LiteRT is installed: what will run the file is not known, and they are the best guess.
    None if there are neither.
    """
    shipped, cached = shipped_path(target), cached_path(target, runtime=runtime_version())
    tables = [read_table(path) for path in (shipped, cached) if path.is_file()]
    if not tables:
        return None
    merged = tables[0]
    for table in tables[1:]:
        merged = merged.with_costs(table.costs)
    return merged
