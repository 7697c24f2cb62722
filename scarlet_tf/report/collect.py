"""Collection of a trained model's results from its folder, as the report takes them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from scarlet_tf.arch import ArchSpec
from scarlet_tf.files import check_contains
from scarlet_tf.formats import format_in_name
from scarlet_tf.paths import local_copy
from scarlet_tf.report.payload import ReportError
from scarlet_tf.report.results import column_key, load_json

# The page's name of a file's measure, and its name in verify.json or latency.json.
VERIFIED = {"top1": "accuracy", "agreement": "top1_agreement", "bytes": "bytes"}
TIMED = {name: name for name in ("median_ms", "p10_ms", "p90_ms")}


def collect_results(folder: str | os.PathLike) -> dict:
    """Read one result, as `results.merge_results` takes it, from a folder that train.py wrote.

    Reads spec.json and training.json, and if they exist verify.json (from verify.py) and latency.json (from
    benchmark_host.py). Every file of a known format adds columns. Its format is the one that verify.py recorded, else
    the one in its name: int8.tflite, m_int8.tflite. If several files have the same format, the first counts.

    Returns:
        The model's "name", "genome" and "columns".

    Raises:
        ReportError: if the folder holds no trained model, the model has no genome, or a file is damaged.
    """
    folder = local_copy(folder)
    try:
        check_contains(folder, "training.json", what="trained model")
    except FileNotFoundError as error:
        raise ReportError(str(error)) from error
    spec = ArchSpec.load(folder / "spec.json")
    if spec.genome is None:
        raise ReportError(f"{folder}/spec.json has no genome: expected a model of a search space")
    try:
        training = load_json(folder / "training.json")
        columns = {"keras_top1": training["test"]["top1"], "started_from": _start(training, spec)}
        if (folder / "verify.json").exists():
            columns |= _columns(load_json(folder / "verify.json")["formats"], VERIFIED)
        if (folder / "latency.json").exists():
            timed = [file for file in load_json(folder / "latency.json") if "median_ms" in file or "error" not in file]
            columns |= _columns(timed, TIMED)  # skips files that could not be run
    except (AttributeError, KeyError, TypeError) as error:
        raise ReportError(f"{folder}: a results file lacks {error}") from error
    return {"name": folder.name, "genome": list(spec.genome), "columns": columns}


def _start(training: dict, spec: ArchSpec) -> str:
    """Describe the weights before training, and LETs: with them, the network differs from the one that was searched."""
    start = "random weights"
    if training["inherited_weights"]:
        start = training["started_from"] or "unnamed weights"
    return f"{start}; LETs kept" if any(block.kind == "let" for block in spec.blocks) else start


def _columns(files: list[dict], measures: Mapping[str, str]) -> dict:
    """Return the columns of files, by `results.column_key`; each file is an object with a path."""
    columns = {}
    for file in files:
        kind = file.get("format") or format_in_name(file["path"])
        if kind is not None:
            new = {column_key(kind, measure): file[name] for measure, name in measures.items()}
            columns = new | columns
    return columns
