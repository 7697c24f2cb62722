"""Rows of an experiment: one run each, by name, with settings that are recorded beside what it measures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

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


def check_settings(where: str | os.PathLike, recorded: Mapping, settings: Mapping) -> None:
    """Raise ValueError, naming the first difference, unless rows that lie in `where` were made with `settings`."""
    if difference := name_differences(recorded, settings):
        raise ValueError(f"{where} has rows with other settings ({difference}): use another one")
