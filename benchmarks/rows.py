"""Rows of an experiment: one run each, by name, with settings that are recorded beside what it measures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.machine import describe, provenance
from scarlet_tf.choices import check_known
from scarlet_tf.differences import name_differences


class NamedRow(Protocol):
    """A row of an experiment."""

    @property
    def name(self) -> str:
        """Unique in the experiment."""
        ...


Row = TypeVar("Row", bound=NamedRow)


def select_rows(rows: Iterable[Row], only: str | None) -> dict[str, Row]:
    """Return the row named `only`, or all rows for None, by name.

    Raises:
        ValueError: if there is no such row.
    """
    named = {row.name: row for row in rows}
    if only is None:
        return named
    check_known("row", only, named)
    return {only: named[only]}


def read_finished(paths: Sequence[str | os.PathLike], settings: Mapping[str, Mapping]) -> dict[str, dict]:
    """Return those rows of earlier results that an experiment has, by name; of a row that several have, the last one.

    Args:
        paths: of files with {"rows": {name: {"settings", ...}}}, as result.json has them.
        settings: of the experiment's rows, by name.

    Raises:
        ValueError: if a row was made with other settings, or a file is not a result.
    """
    found = {}
    for path in paths:
        try:
            rows = json.loads(Path(path).read_text(encoding="utf-8"))["rows"]
            recorded = {name: rows[name]["settings"] for name in settings if name in rows}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a result of this experiment: {error}") from error
        for name, made_with in recorded.items():
            check_settings(f"{path}: {name}", made_with, settings[name])
            found[name] = rows[name]
    return found


def made_here() -> dict:
    """Return the date and the machine, as JSON values, to record as "made" of a row."""
    return {name: value for name, value in provenance("").items() if name != "command"}


def made_in_words(result: Mapping) -> str:
    """Return a line for each of the days and machines on which the rows of a result were made."""
    return "\n".join(dict.fromkeys(f"{describe(row['made'])}." for row in result["rows"].values()))


def check_settings(where: str | os.PathLike, recorded: Mapping, settings: Mapping) -> None:
    """Raise ValueError, naming the first difference, unless rows that lie in `where` were made with `settings`."""
    if difference := name_differences(recorded, settings):
        raise ValueError(f"{where} has rows with other settings ({difference}): use another one")
