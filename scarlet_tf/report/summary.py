"""The picked and trained models as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scarlet_tf.arch import SearchSpace
from scarlet_tf.report.results import columns_given, merge_results
from scarlet_tf.report.tables import cells, headings, make_rows, quantities_of
from scarlet_tf.search import Models, SearchHistory


def summarize(
    history: SearchHistory, evaluated: Models, space: SearchSpace, *, results: Sequence[Mapping[str, object]] = ()
) -> str:
    """Return the numbers of the page's table as text, a column for each model; "" without models.

    Arguments and errors are those of `build_page`.
    """
    checked = merge_results(results, space)
    rows = make_rows(history, evaluated, space, checked)
    if not rows:
        return ""
    which = quantities_of(rows), columns_given(checked)
    table = [["", *headings(*which)], *([row.name, *cells(row, *which)] for row in rows)]
    left, *others = ([text.ljust(max(map(len, column))) for text in column] for column in table)
    return "\n".join("  ".join(line).rstrip() for line in zip(left, *others, strict=True))
