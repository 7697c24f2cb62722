"""Rows of an experiment: one run each, by name, with settings that are recorded beside what it measures."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.machine import describe, provenance
from scarlet_tf.choices import check_known
from scarlet_tf.differences import name_differences
from scarlet_tf.files import write_atomically


class NamedRow(Protocol):
    """A row of an experiment."""

    @property
    def name(self) -> str:
        """Unique in the experiment; the path of the row's folder in the output folder."""
        ...


Row = TypeVar("Row", bound=NamedRow)


class ExperimentConfig(Protocol[Row]):
    """The config of an experiment: which rows it has."""

    def rows(self) -> Iterable[Row]:
        """Return the rows in the order in which they are run."""
        ...

    def settings(self, row: Row) -> dict:
        """Return the settings that a row's result depends on, as JSON values: the config's, and those of recipes."""
        ...


@contextlib.contextmanager
def reading_config(path: str | os.PathLike) -> Iterator[None]:
    """Turn the errors of the block, which reads a config from `path`, into a ValueError that names the file."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} is not a config of this experiment: it lacks {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a config of this experiment: {error}") from error


RunRow = Callable[[Row, Path, Mapping[str, dict]], dict]


def run_rows(
    config: ExperimentConfig[Row],
    run_row: RunRow,
    output: Path,
    *,
    only: str | None = None,
    finished: Mapping[str, dict] | None = None,
) -> dict[str, dict]:
    """Run all rows, or a single one; rows that are in `output` already are read.

    Args:
        config: the experiment.
        run_row: called with a row, its folder, and all rows that are there by name; returns what it measured, as JSON
            values. Called again with the same folder if it was stopped.
        output: folder of the rows' folders, which get settings.json at the start and row.json at the end.
        only: name of the only row to run; None: all.
        finished: rows that are taken as they are, see `finished_rows`.

    Returns:
        The content of row.json by row: "settings", "made": date and machine, and what `run_row` returned.

    Raises:
        ValueError: if there is no row `only`, or a row's folder has other settings.
    """
    selected = select_rows(config.rows(), only)
    rows = _rows_in(output, config) | dict(finished or {})
    for name, row in selected.items():
        if name in rows:
            continue
        folder = output / name
        rows[name] = _claim(folder, config.settings(row)) | run_row(row, folder, rows)
        _write(folder / "row.json", rows[name])
    return {name: rows[name] for name in selected}


def select_rows(rows: Iterable[Row], only: str | None) -> dict[str, Row]:
    """Return the row named `only`, or all rows for None, by name.

    Raises:
        ValueError: if there is no such row, or if two have the same name, which would count as two runs.
    """
    named = {}
    for row in rows:
        if row.name in named:
            raise ValueError(f"the config has the row {row.name} twice: expected different seeds and labels")
        named[row.name] = row
    if only is None:
        return named
    check_known("row", only, named)
    return {only: named[only]}


def finished_rows(paths: Sequence[str | os.PathLike], config: ExperimentConfig) -> dict[str, dict]:
    """Return those rows of earlier results that an experiment has, by name; of a row that several have, the last one.

    Args:
        paths: of files with {"rows": {name: {"settings", ...}}}, as result.json has them.
        config: the experiment.

    Raises:
        ValueError: if a row was made with other settings, or a file is not a result or has no row of the experiment.
    """
    settings = {row.name: config.settings(row) for row in config.rows()}
    found = {}
    for path in paths:
        try:
            rows = json.loads(Path(path).read_text(encoding="utf-8"))["rows"]
            recorded = {name: _checked(rows[name])["settings"] for name in settings if name in rows}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a result of this experiment: {error}") from error
        if not recorded:
            raise ValueError(
                f"{path} has none of this experiment's rows: it has {_examples(rows)}; expected {_examples(settings)}"
            )
        for name, made_with in recorded.items():
            _check_settings(f"{path}: {name}", made_with, settings[name])
            found[name] = rows[name]
    return found


def made_in_words(result: Mapping) -> str:
    """Return a line for each of the days and machines on which the rows of a result were made."""
    return "\n".join(dict.fromkeys(f"{describe(row['made'])}." for row in result["rows"].values()))


def _examples(names: Iterable[str]) -> str:
    first, *others = [*names] or ["no rows"]
    return f"{first}, ..." if others else first


def _rows_in(output: Path, config: ExperimentConfig) -> dict[str, dict]:
    """Return the rows that are finished in the output folder."""
    rows = {}
    for row in config.rows():
        path = output / row.name / "row.json"
        if path.exists():
            rows[row.name] = _read(path)
            _check_settings(path.parent, rows[row.name]["settings"], config.settings(row))
    return rows


def _claim(folder: Path, settings: dict) -> dict:
    """Return the row's settings, date and machine from settings.json; write that file first if it is missing."""
    path = folder / "settings.json"
    if path.exists():
        made = _read(path)
        _check_settings(folder, made["settings"], settings)
        return made
    made = {"settings": settings, "made": {name: it for name, it in provenance("").items() if name != "command"}}
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, made)
    return made


def _read(path: Path) -> dict:
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it to make the row again") from error


def _checked(row: dict) -> dict:
    """Return the content of a row.json or settings.json; raise ValueError if it lacks what both have."""
    if missing := {"settings", "made"} - row.keys():
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return row


def _write(path: Path, values: Mapping) -> None:
    write_atomically(path, json.dumps(values) + "\n")


def _check_settings(where: str | os.PathLike, recorded: Mapping, settings: Mapping) -> None:
    """Raise ValueError, naming the first difference, unless rows that lie in `where` were made with `settings`."""
    if difference := name_differences(recorded, settings):
        raise ValueError(f"{where} has rows with other settings ({difference}): use another one")
