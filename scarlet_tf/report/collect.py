"""Gathers what became of a trained model from its folder, in the form in which the page shows results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from scarlet_tf.arch import ArchSpec
from scarlet_tf.formats import format_in_name
from scarlet_tf.report.payload import ReportError
from scarlet_tf.report.results import column_key, load_json

# What the page calls a number of a file, and the name that verify.json and latency.json give it.
VERIFIED = {"top1": "accuracy", "agreement": "top1_agreement", "bytes": "bytes"}
TIMED = {name: name for name in ("median_ms", "p10_ms", "p90_ms")}


def collect_results(folder: str | os.PathLike) -> dict:
    """One result of `results.check_results` from a folder that train.py wrote.

    Reads spec.json and training.json, and where they exist verify.json (of verify.py) and latency.json (of
    benchmark_host.py). Every file of a known format gives columns; its format is what verify.py recorded, or else what
    its name says: int8.tflite, m_int8.tflite. Of several files of one format the first counts.

    Raises:
        ReportError: for a folder without a trained model, or damaged files.
    """
    folder = Path(folder)
    if not (folder / "training.json").exists():
        raise ReportError(f"{folder} holds no trained model: it has no training.json")
    spec = ArchSpec.load(folder / "spec.json")
    if spec.genome is None:
        raise ReportError(f"{folder}/spec.json has no genome: only models of a search space can be shown")
    try:
        training = load_json(folder / "training.json")
        columns = {"keras_top1": training["test"]["top1"], "started_from": _start(training, spec)}
        if (folder / "verify.json").exists():
            columns |= _columns(load_json(folder / "verify.json")["formats"], VERIFIED)
        if (folder / "latency.json").exists():
            timed = [file for file in load_json(folder / "latency.json") if "median_ms" in file or "error" not in file]
            columns |= _columns(timed, TIMED)  # without files that could not be run
    except (AttributeError, KeyError, TypeError) as error:
        raise ReportError(f"{folder}: a results file lacks {error}") from error
    return {"name": folder.name, "genome": list(spec.genome), "columns": columns}


def _start(training: dict, spec: ArchSpec) -> str:
    """What its weights were before training; with LETs it is not quite the network that the search counted."""
    start = "random weights"
    if training["inherited_weights"]:
        start = training["started_from"] or "weights without a name"
    return f"{start}; LETs kept" if any(block.kind == "let" for block in spec.blocks) else start


def _columns(files: list[dict], measures: Mapping[str, str]) -> dict:
    """Return the columns of files, each an object with its path, by `results.column_key`."""
    columns = {}
    for file in files:
        kind = file.get("format") or format_in_name(file["path"])
        if kind is not None:
            new = {column_key(kind, measure): file[name] for measure, name in measures.items()}
            columns = new | columns
    return columns
