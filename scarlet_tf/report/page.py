"""The self-contained HTML page of a search: one file that works offline, made from the search's archive."""

from __future__ import annotations

import os
import string
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

from scarlet_tf.arch import SearchSpace
from scarlet_tf.files import write_atomically
from scarlet_tf.image_size import describe_image_size
from scarlet_tf.report.drawing import draw_legend
from scarlet_tf.report.payload import ReportError, check_space, embed_json, make_payload, settings_of
from scarlet_tf.report.quantities import format_constraint, is_number, phrase
from scarlet_tf.report.results import merge_results
from scarlet_tf.report.tables import gallery, make_rows, models_table
from scarlet_tf.search import Models, SearchHistory

_SCRIPTS = ("common.js", "pareto.js", "series.js", "main.js")
_METADATA_LABELS = {"search_command": "Search command", "command": "Page made by", "date": "Date"}
_CODE = ("search_command", "command")


def build_page(
    history: SearchHistory,
    evaluated: Models,
    space: SearchSpace,
    *,
    results: Sequence[Mapping[str, object]] = (),
    metadata: Mapping[str, object] | None = None,
) -> str:
    """Return the page as text.

    Args:
        history: `search_history` of the archive, finished or not, with at least one generation.
        evaluated: `evaluated_models` of the same archive.
        space: the search's space.
        results: of trained models, as `merge_results` takes them.
        metadata: facts for the footer, text or numbers by name. "title" is the page's heading. "dataset", "machine",
            "date", "search_command" (made the search) and "command" (made the page) are usual; others are shown too.

    Raises:
        ReportError: for another space, a history without generations, or malformed results or metadata.
    """
    metadata = check_metadata(metadata or {})
    check_space(history, space)
    if not history.generations:
        raise ReportError("the search has no finished generation yet")
    checked = merge_results(results, space)
    rows = make_rows(history, evaluated, space, checked)
    payload = make_payload(history, evaluated, space, names=[row.name for row in rows if row.picked])
    title = str(metadata.get("title", f"Search in the space “{space.name}”"))
    return string.Template(_asset("page.html")).substitute(
        title=escape(title),
        subtitle=escape(_subtitle(history)),
        style=_asset("page.css"),
        tiles=_tiles(history, evaluated),
        legend=draw_legend(space),
        gallery=gallery(rows, space),
        table=models_table(rows, checked),
        footer=_footer(history, space, metadata),
        data=embed_json(payload),
        script="\n".join(_asset(name) for name in _SCRIPTS),
    )


def write_page(
    path: str | os.PathLike,
    history: SearchHistory,
    evaluated: Models,
    space: SearchSpace,
    *,
    results: Sequence[Mapping[str, object]] = (),
    metadata: Mapping[str, object] | None = None,
) -> None:
    """Write `build_page`'s page to a UTF-8 file, atomically. Arguments and errors are those of `build_page`."""
    page = build_page(history, evaluated, space, results=results, metadata=metadata)
    write_atomically(path, page)


def check_metadata(metadata: object) -> dict[str, str | float]:
    """Return the metadata as a dict. Raise ReportError unless it is an object of texts and numbers."""
    if not isinstance(metadata, Mapping):
        raise ReportError(f"metadata must be a JSON object of strings and numbers, got {type(metadata).__name__}")
    for key, value in metadata.items():
        if not isinstance(key, str) or not (isinstance(value, str) or is_number(value)):
            raise ReportError(f"metadata {key!r} must be a string or a number, got {value!r}")
    return dict(metadata)


def _asset(name: str) -> str:
    return resources.files("scarlet_tf.report").joinpath("assets", name).read_text(encoding="utf-8")


def _subtitle(history: SearchHistory) -> str:
    objectives, constraints = settings_of(history)
    verbs = {"max": "maximise", "min": "minimise"}
    aims = ", ".join(f"{verbs[o.direction]} {phrase(o.name)} (weight {o.weight:g})" for o in objectives)
    bounds = " and ".join(map(format_constraint, constraints)) or "no constraints"
    return f"Weighted NSGA-II: {aims}; {bounds}."


def _tiles(history: SearchHistory, evaluated: Models) -> str:
    saved = sum(summary.saved_evaluations for summary in history.summaries)
    last = history.summaries[-1]
    facts = (
        (f"{last.generation}", "generations" + ("" if len(history.picked) else ", unfinished")),
        (f"{len(evaluated):,}", "models evaluated"),
        (f"{saved:,}", "evaluations saved by cheap constraints"),
        (f"{100 * last.best_accuracy:.2f} %", "best one-shot accuracy"),
        (f"{last.hypervolume:.4f}", "hypervolume (unit box)"),
        (f"{last.front_size}", "models on the front"),
    )
    return "".join(f"<div class='tile'><b>{value}</b><span>{text}</span></div>" for value, text in facts)


def _footer(history: SearchHistory, space: SearchSpace, metadata: Mapping[str, str | float]) -> str:
    settings = history.definition["settings"]
    mixture = {name.replace("_", " "): value for name, value in settings["mixture"].items() if is_number(value)}
    size = describe_image_size(space.resolution)
    facts: list[tuple[str, object]] = [
        ("Search space", f"{space.name}: {space.num_layers} layers, {space.size:.3g} models, {size} px"),
        ("Population", settings["population"]),
        ("Objectives", settings["objectives"].replace(",", ", ")),
        ("Constraints", settings["constraints"].replace(",", ", ") or "none"),
        ("Mutation", ", ".join(f"{name} {value:g}" for name, value in mixture.items())),
        ("Mutators", ", ".join(settings["mutators"])),
        ("Seed", settings["seed"]),
        ("Evaluator", history.definition["evaluator"]),
    ]
    facts += [
        (_METADATA_LABELS.get(key, key.replace("_", " ").capitalize()), value)
        for key, value in metadata.items()
        if key != "title" and key not in _CODE
    ]
    cells = [f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts]
    cells += [
        f"<div class='wide'><dt>{_METADATA_LABELS[key]}</dt><dd><code>{escape(str(metadata[key]))}</code></dd></div>"
        for key in _CODE
        if key in metadata
    ]
    return f"<dl class='facts'>{''.join(cells)}</dl>"
