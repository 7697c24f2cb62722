"""Gathers what became of a trained model from its folder, in the form in which the page shows results."""

from __future__ import annotations

import os
from pathlib import Path

from scarlet_tf.arch import ArchSpec
from scarlet_tf.report.payload import ReportError
from scarlet_tf.report.results import load_json


def collect_results(folder: str | os.PathLike) -> dict:
    """One result of `results.check_results` from a folder that train.py wrote.

    Reads spec.json and training.json, and where they are there verify.json (of verify.py, with files named fp32.tflite
    and int8.tflite) and latency.json (of benchmark_host.py, the fp32 file first).

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
            columns |= _verified(load_json(folder / "verify.json"))
        if (folder / "latency.json").exists():
            fp32 = load_json(folder / "latency.json")[0]
            columns |= {f"latency_{name}": fp32[name] for name in ("median_ms", "p10_ms", "p90_ms")}
    except (KeyError, TypeError, IndexError) as error:
        raise ReportError(f"{folder}: a results file lacks {error}") from error
    return {"name": folder.name, "genome": list(spec.genome), "columns": columns}


def _start(training: dict, spec: ArchSpec) -> str:
    """What its weights were before training; with LETs it is not quite the network that the search counted."""
    start = "random weights"
    if training["inherited_weights"]:
        start = training["started_from"] or "weights without a name"
    return f"{start}; LETs kept" if any(block.kind == "let" for block in spec.blocks) else start


def _verified(report: dict) -> dict:
    columns = {}
    for check in report["formats"]:
        kind = Path(check["path"]).name.removesuffix(".tflite")
        if kind in ("fp32", "int8"):
            columns |= {f"{kind}_top1": check["accuracy"], f"{kind}_bytes": check["bytes"]}
        if kind == "int8":
            columns["int8_agreement"] = check["top1_agreement"]
    return columns
