"""The data of a search as one compact JSON value, embedded in the page for its script."""

from __future__ import annotations

import json

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.report.drawing import drawing_parts
from scarlet_tf.report.quantities import effort_labels, effort_row, label, unit
from scarlet_tf.search import Constraint, Models, Objective, SearchHistory, parse_constraints, parse_objectives
from scarlet_tf.search.objectives import ACCURACY

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"  # one letter per gene; from 36 on other letters, see common.js

# Commands that the page shows for a model, whose genome replaces GENOME.
COMMANDS = (
    "python tools/train.py --inherit_from=SUPERNET --genome=GENOME --output=MODEL",
    "python tools/export_tflite.py --model=MODEL --output=MODEL/float32.tflite",
    "python tools/export_tflite.py --model=MODEL --output=MODEL/int8.tflite --quantize=int8 "
    "--representative_dataset=DATASET",
    "python tools/verify.py --model=MODEL",
)


class ReportError(ValueError):
    """Input that no page can be made from; the message names it and what was expected."""


def recorded_space(history: SearchHistory) -> SearchSpace:
    """Return the search space that the search's archive records."""
    return SearchSpace.from_dict(history.definition["space"])


def check_space(history: SearchHistory, space: SearchSpace) -> None:
    """Raise ReportError unless the search was made in this space."""
    recorded = recorded_space(history)
    if recorded != space:
        raise ReportError(
            f"the search ran in space {recorded.name!r}, which differs from the given space {space.name!r}"
        )


def settings_of(history: SearchHistory) -> tuple[tuple[Objective, ...], tuple[Constraint, ...]]:
    """Return the objectives and constraints of a search."""
    settings = history.definition["settings"]
    known = (ACCURACY, *settings["quantities"])
    objectives = parse_objectives(settings["objectives"], known=known)
    return objectives, parse_constraints(settings["constraints"], known=known)


def encode_genome(genome: np.ndarray | tuple[int, ...]) -> str:
    """Encode a genome as text: (4, 8, 12) -> "48c"."""
    return "".join(_DIGITS[gene] if gene < len(_DIGITS) else chr(0x100 + gene) for gene in genome)


def rows_of(evaluated: Models, ids: np.ndarray) -> list[int]:
    """Return the positions of ids in `evaluated`. Raise ReportError for an id that it lacks."""
    rows = np.searchsorted(evaluated.ids, ids)
    found = rows < len(evaluated)
    found[found] = evaluated.ids[rows[found]] == ids[found]
    if not found.all():
        raise ReportError(f"model {ids[~found][0]} of the history is not among the {len(evaluated)} evaluated models")
    return rows.tolist()


def make_payload(history: SearchHistory, evaluated: Models, space: SearchSpace, *, names: list[str]) -> dict:
    """Return everything that the page's script needs.

    Models are rows of "genomes" (the letters of all models in one string, `num_layers` per model) and of "values".
    Populations and picks are lists of row numbers.

    Args:
        names: of the picked models, in their order.
    """
    objectives, constraints = settings_of(history)
    feasible = np.ones(len(evaluated), bool)
    for constraint in constraints:
        feasible &= constraint.satisfied(evaluated.values[constraint.name])
    return {
        "layers": space.num_layers,
        "identities": list(space.identities),
        "genomes": "".join(encode_genome(genome) for genome in evaluated.genomes.tolist()),
        "feasible": "".join("01"[ok] for ok in feasible.tolist()),
        "quantities": [{"name": name, "label": label(name), "unit": unit(name)} for name in evaluated.values],
        "values": {name: column.tolist() for name, column in evaluated.values.items()},
        "directions": {objective.name: objective.direction for objective in objectives},
        "axes": _axes(objectives),
        "picks": rows_of(evaluated, history.picked.ids),
        "names": names,
        "populations": [
            {"rows": rows_of(evaluated, members.models.ids), "ranks": members.ranks.tolist()}
            for members in history.generations
        ],
        "hypervolume": history.hypervolume.tolist(),
        "identityShare": history.identity_share.tolist(),
        "effort": {
            "labels": effort_labels(constraints),
            "rows": [effort_row(summary, constraints) for summary in history.summaries],
        },
        "operators": _operators(history),
        "survivors": _survivors(history, evaluated),
        "family": _family(history, evaluated),
        "drawing": drawing_parts(space),
        "commands": list(COMMANDS),
    }


def _axes(objectives: tuple[Objective, ...]) -> dict[str, str]:
    """Return the initial axes of the front: accuracy over the first other objective, sized by the second."""
    cheap = [objective.name for objective in objectives if objective.name != ACCURACY]
    return {"x": cheap[0] if cheap else "madds", "y": ACCURACY, "size": cheap[1] if len(cheap) > 1 else "none"}


def _operators(history: SearchHistory) -> dict:
    names = sorted({name for counts in history.operators for name in counts})
    return {"labels": names, "rows": [[counts.get(name, 0) for name in names] for counts in history.operators]}


def _survivors(history: SearchHistory, evaluated: Models) -> dict:
    """Count, by operator, the models that entered the population in the generation that evaluated them."""
    names = sorted({name for counts in history.operators for name in counts})
    made = dict(zip(evaluated.ids.tolist(), history.lineage.operators, strict=False))  # a running search adds models
    rows, before = [], set()
    for members in history.generations:
        ids = set(members.models.ids.tolist())
        new = [made[model] for model in ids - before]
        rows.append([new.count(name) for name in names])
        before = ids
    return {"labels": names, "rows": rows}


def _family(history: SearchHistory, evaluated: Models) -> dict:
    """Return the rows of every model's parents, -1 for none, and the operator that made it."""
    lineage = history.lineage
    names = sorted(set(lineage.operators))
    rows = {"mothers": lineage.mothers, "fathers": lineage.fathers}
    known = {name: ids[ids >= 0] for name, ids in rows.items()}
    for name, ids in rows.items():
        found = np.full(len(ids), -1)
        found[ids >= 0] = rows_of(evaluated, known[name])
        rows[name] = found.tolist()
    return rows | {"operators": names, "made": [names.index(name) for name in lineage.operators]}


def embed_json(value: object) -> str:
    """Return JSON that is safe inside a <script> element, without "<", ">", "&" and line separators."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
