"""The picked and trained models: their numbers, also as a table in HTML, and a gallery of drawings."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from html import escape

import numpy as np

from scarlet_tf.arch import SearchSpace, count_genomes
from scarlet_tf.report.drawing import draw_architecture
from scarlet_tf.report.quantities import MISSING, format_value, label, phrase, unit
from scarlet_tf.report.results import Result, column_of, columns_given, format_cell
from scarlet_tf.search import Models, SearchHistory
from scarlet_tf.search.objectives import ACCURACY

_FIRST_QUANTITIES = (ACCURACY, "madds", "params")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One model of the table.

    Attributes:
        values: its quantities in the search; only madds and params if it was not evaluated.
        columns: its results.
        row: its position among the evaluated models, None if it is not one of them.
    """

    name: str
    genome: tuple[int, ...]
    picked: bool
    row: int | None
    values: dict[str, float]
    columns: dict[str, float | str | None]


def make_rows(
    history: SearchHistory, evaluated: Models, space: SearchSpace, results: Sequence[Result]
) -> list[ModelRow]:
    """Return the picked models in their order, then other models that have results."""
    by_genome = {result.genome: result for result in results}
    picked = [tuple(genome) for genome in history.picked.genomes.tolist()]
    others = [genome for genome in by_genome if genome not in set(picked)]
    positions = {tuple(genome): row for row, genome in enumerate(evaluated.genomes.tolist())}
    return [
        ModelRow(
            name=by_genome[genome].name if genome in by_genome else f"pick {position}",
            genome=genome,
            picked=position < len(picked),
            row=positions.get(genome),
            values=_values(genome, positions.get(genome), evaluated, space),
            columns=by_genome[genome].columns if genome in by_genome else {},
        )
        for position, genome in enumerate([*picked, *others])
    ]


def _values(genome: tuple[int, ...], row: int | None, evaluated: Models, space: SearchSpace) -> dict[str, float]:
    if row is not None:
        return {name: column[row].item() for name, column in evaluated.values.items()}
    madds, params = count_genomes(space, np.array([genome]))
    return {"madds": madds.item(), "params": params.item()}


def quantities_of(rows: Sequence[ModelRow]) -> list[str]:
    """Return the quantities of the search that some model has: accuracy and costs, then the user's own."""
    names = {name: None for row in rows for name in row.values}
    return [*_FIRST_QUANTITIES, *(name for name in names if name not in _FIRST_QUANTITIES)]


def headings(quantities: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return the headings of the cells of a row, not escaped."""
    return [*map(label, quantities), *(column_of(key).label for key in columns)]


def cells(row: ModelRow, quantities: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return a model's values with their units, not escaped, "—" for missing ones."""
    found = [format_value(row.values[name], unit=unit(name)) if name in row.values else MISSING for name in quantities]
    return found + [format_cell(key, row.columns.get(key)) for key in columns]


def models_table(rows: Sequence[ModelRow], results: Sequence[Result]) -> str:
    """Return a table with a heading above every group of columns, and "—" for missing values."""
    if not rows:
        return "<p class='note'>No models are picked yet, and no results were given.</p>"
    quantities, columns = quantities_of(rows), columns_given(results)
    head = _head(quantities, columns)
    body = "".join(_body_row(row, quantities, columns) for row in rows)
    note = "" if columns else "<p class='note'>No results of trained models were given to this page.</p>"
    return (
        "<div class='scroll' tabindex='0' role='region' aria-label='Table of models'><table>"
        f"<thead>{head}</thead><tbody>{body}</tbody></table></div>{note}"
    )


def _head(quantities: Sequence[str], columns: Sequence[str]) -> str:
    groups = [("Search", len(quantities))]
    for group, members in itertools.groupby(columns, lambda key: column_of(key).group):
        groups.append((group, len(list(members))))
    over = "".join(
        f"<th class='group' colspan='{span}' scope='colgroup'>{escape(group)}</th>" for group, span in groups
    )
    # Headings wrap at spaces, not within "top-1".
    labels = [text.replace("-", "\u2011") for text in headings(quantities, columns)]
    starts = set(itertools.accumulate(span for _, span in groups)) | {0}
    under = "".join(
        f"<th scope='col' class='{'start' if position in starts else ''}'>{escape(text)}</th>"
        for position, text in enumerate(labels)
    )
    return f"<tr><th rowspan='2' scope='col'>Model</th>{over}</tr><tr>{under}</tr>"


def _body_row(row: ModelRow, quantities: Sequence[str], columns: Sequence[str]) -> str:
    genome = ",<wbr>".join(map(str, row.genome))
    name = escape(row.name)
    if row.row is not None:
        name = f"<button type='button' class='link' data-row='{row.row}'>{name}</button>"
    return f"<tr><th scope='row'>{name}<code class='genome'>{genome}</code></th>" + (
        "".join(f"<td>{escape(cell)}</td>" for cell in cells(row, quantities, columns)) + "</tr>"
    )


def gallery(rows: Sequence[ModelRow], space: SearchSpace) -> str:
    """Return the drawings of the models, each with its name and numbers."""
    if not rows:
        return "<p class='note'>No models are picked yet: the search is not finished.</p>"
    return "".join(_figure(row, space) for row in rows)


def _figure(row: ModelRow, space: SearchSpace) -> str:
    facts = " · ".join(
        f"{format_value(row.values[name], unit=unit(name))} {phrase(name)}"
        for name in _FIRST_QUANTITIES
        if name in row.values
    )
    drawing = draw_architecture(space.spec(row.genome, name=row.name))
    return (
        f"<figure class='network'><figcaption><b>{escape(row.name)}</b><span>{escape(facts)}</span></figcaption>"
        f"<div class='scroll'>{drawing}</div></figure>"
    )
