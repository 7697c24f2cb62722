"""Results of the picked models after training and export: read from JSON, validated, and arranged in columns."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

from scarlet_tf.arch import SearchSpace
from scarlet_tf.formats import FLOAT32, FORMATS, PLAIN, QUANTIZATIONS
from scarlet_tf.paths import as_path
from scarlet_tf.report.payload import ReportError
from scarlet_tf.report.quantities import MISSING, format_value, is_number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the results table.

    Attributes:
        label: its heading.
        group: the heading above those of several columns.
        unit: of its values; "percent" means fractions in [0, 1].
    """

    label: str
    group: str
    unit: str


_FILES = (*FORMATS, *(f"{name}, {PLAIN}" for name in QUANTIZATIONS))
_OF_A_FILE = (  # measure, heading after the file's format, group heading, unit
    ("top1", "top-1", "Exported accuracy", "percent"),
    ("agreement", "agrees with Keras", "Exported accuracy", "percent"),
    ("median_ms", "median", "Latency", "ms"),
    ("p10_ms", "p10", "Latency", "ms"),
    ("p90_ms", "p90", "Latency", "ms"),
    ("bytes", "size", "File size", "bytes"),
)


def column_key(file: str, measure: str) -> str:
    """Return the key of a file's column: ("int8, plain", "top1") -> "int8_plain_top1"."""
    return f"{file.replace(', ', '_')}_{measure}"


def _columns_of_files() -> dict[str, Column]:
    """Return the known columns in the page's order: by group, and within a group by format."""
    columns = {}
    for group in dict.fromkeys(group for _, _, group, _ in _OF_A_FILE):
        for file in _FILES:
            for measure, heading, over, unit in _OF_A_FILE:
                if over == group:
                    label = f"{file} {heading}"
                    columns[column_key(file, measure)] = Column(label=label, group=group, unit=unit)
    return columns


COLUMNS = {"keras_top1": Column(label="Keras top-1", group="Trained", unit="percent"), **_columns_of_files()}
_FORMER_KEYS = {
    **{f"fp32_{measure}": f"{FLOAT32}_{measure}" for measure in ("top1", "bytes")},
    **{f"latency_{measure}": f"{FLOAT32}_{measure}" for measure in ("median_ms", "p10_ms", "p90_ms")},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """Results of one model.

    Attributes:
        columns: values by column: numbers for those in COLUMNS, numbers or text for others, None where missing.
    """

    name: str
    genome: tuple[int, ...]
    columns: dict[str, float | str | None]


def merge_results(results: Sequence[Mapping[str, object]], space: SearchSpace) -> list[Result]:
    """Validate results, and merge entries of the same genome, such as training's and the exporter's.

    Args:
        results: dicts {"name", "genome": list or text like "4,8,2", "columns": {...}}.
        space: that the genomes belong to.

    Returns:
        One result per model.

    Raises:
        ReportError: for a malformed entry, a genome that is not in the space, or contradicting entries.
    """
    merged: dict[tuple[int, ...], Result] = {}
    for position, entry in enumerate(results):
        result = _parse_result(entry, space, owner=f"result {position}")
        before = merged.get(result.genome)
        merged[result.genome] = _merge(before, result) if before else result
    return list(merged.values())


def load_results(path: str | os.PathLike) -> list[dict]:
    """Read a JSON list of results, as `merge_results` takes them.

    Raises:
        ReportError: for a damaged file; the message names its path.
    """
    data = load_json(path)
    if not isinstance(data, list):
        raise ReportError(f"{path}: expected a JSON list of results, got {type(data).__name__}")
    return data


def load_json(path: str | os.PathLike) -> object:
    """Read a JSON file.

    Raises:
        ReportError: if it is not JSON; the message names its path.
    """
    try:
        return json.loads(as_path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReportError(f"{path}: not JSON: {error}") from error


def column_of(key: str) -> Column:
    """Return a known column, or a plain one named after its key."""
    return COLUMNS.get(key) or Column(label=key.replace("_", " "), group="Other", unit="plain")


def columns_given(results: Sequence[Result]) -> list[str]:
    """Return the columns in which some model has a value: known ones in their order, then others."""
    given = {key: None for result in results for key, value in result.columns.items() if value is not None}
    return [key for key in COLUMNS if key in given] + [key for key in given if key not in COLUMNS]


def format_cell(key: str, value: float | str | None) -> str:
    """Format a cell's text, not escaped."""
    if value is None:
        return MISSING
    return value if isinstance(value, str) else format_value(value, unit=column_of(key).unit)


def _parse_result(entry: object, space: SearchSpace, *, owner: str) -> Result:
    if not isinstance(entry, Mapping) or set(entry) != {"name", "genome", "columns"}:
        got = sorted(map(str, entry)) if isinstance(entry, Mapping) else type(entry).__name__
        raise ReportError(f"{owner}: expected an object with name, genome and columns, got {got}")
    name, genome, columns = entry["name"], entry["genome"], entry["columns"]
    if not isinstance(name, str) or not name:
        raise ReportError(f"{owner}: name must be a non-empty string, got {name!r}")
    owner = f"{owner}, {name!r}"
    if not isinstance(genome, (str, list, tuple)):
        raise ReportError(f"{owner}: genome must be a list or a string such as '4,8,2', got {genome!r}")
    try:
        genome = space.parse(genome) if isinstance(genome, str) else space.check(genome)
    except ValueError as error:
        raise ReportError(f"{owner}: {error}") from error
    if not isinstance(columns, Mapping):
        raise ReportError(f"{owner}: columns must be an object, got {columns!r}")
    columns = {_FORMER_KEYS.get(key, key): value for key, value in columns.items()}
    for key, value in columns.items():
        _check_cell(key, value, owner=owner)
    return Result(name=name, genome=genome, columns=columns)


def _check_cell(key: object, value: object, *, owner: str) -> None:
    if not isinstance(key, str) or not key:
        raise ReportError(f"{owner}: a column's name must be a non-empty string, got {key!r}")
    if value is None or (key not in COLUMNS and isinstance(value, str)):
        return
    if not is_number(value):
        raise ReportError(f"{owner}: {key} must be a finite number, got {value!r}")
    if column_of(key).unit == "percent" and not 0 <= value <= 1:
        raise ReportError(f"{owner}: {key} must be a fraction in [0, 1], got {value!r}")


def _merge(before: Result, after: Result) -> Result:
    columns = dict(before.columns)
    for key, value in after.columns.items():
        if None not in (columns.get(key), value) and columns[key] != value:
            raise ReportError(f"results of {after.name!r} conflict: {key} is both {columns[key]!r} and {value!r}")
        if columns.get(key) is None:
            columns[key] = value
    return dataclasses.replace(before, columns=columns)
