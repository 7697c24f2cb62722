"""Run the searches and train the models that they pick; a second call resumes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.equal_cost.cost_config import SUPERNET, CostConfig, Row
from benchmarks.equal_cost.cost_methods import (
    Pick,
    data_config,
    search_at_random,
    search_by_halving,
    search_supernet,
)
from benchmarks.measured_accuracy import accuracy_by_measured
from scarlet_tf.arch import count
from scarlet_tf.data import open_dataset
from scarlet_tf.files import write_atomically
from scarlet_tf.training.trainer import train

FIRST_FINAL_SEED = 1000
_SEARCHES = {"random": search_at_random, "halving": search_by_halving}


def run_row(config: CostConfig, row: Row, folder: Path, rows: Mapping[str, dict], *, data_dir: str | None) -> dict:
    """Run a search and train its pick; what is in the row's folder is not done again.

    Args:
        config: the experiment.
        row: the search.
        folder: of the row; gets pick.json after the search and final.json after the training.
        rows: rows that are there, of which the supernet's cost is the budget of other methods with its seed.
        data_dir: data folder of tensorflow-datasets.

    Returns:
        The fields of `Pick`, "madds", "test" (top-1 of the pick after its training), "test_measured" (with measured
        batch normalisation statistics), and "cpu_seconds" of "search" and "final".

    Raises:
        ValueError: if the budget is not known yet.
    """
    picked = folder / "pick.json"
    if not picked.exists():
        with _counting(folder, "search"):
            pick = _search(config, row, folder, rows, data_dir=data_dir)
        write_atomically(picked, json.dumps(dataclasses.asdict(pick)) + "\n")
    pick = _read(picked)
    spec = config.space.spec(pick["genome"])
    trained = folder / "final.json"
    if not trained.exists():
        # Not the seed that a search picked by: a lucky start must not count twice.
        recipe = config.training(epochs=config.final_epochs, seed=FIRST_FINAL_SEED + row.seed)
        with _counting(folder, "final"):
            data = open_dataset(data_config(config, data_dir=data_dir))
            result = train(spec, data, recipe, output=folder / "final")
        tests = {"test": result["test"]["top1"], "test_measured": accuracy_by_measured(data, folder / "final")}
        write_atomically(trained, json.dumps(tests) + "\n")
    return {
        **pick,
        "madds": count(spec).madds,
        **_read(trained),
        "cpu_seconds": _read(folder / "cpu_seconds.json"),
    }


def _search(config: CostConfig, row: Row, folder: Path, rows: Mapping[str, dict], *, data_dir: str | None) -> Pick:
    if row.method == SUPERNET:
        return search_supernet(config, folder, seed=row.seed, data_dir=data_dir)
    supernet = Row(method=SUPERNET, seed=row.seed).name
    if supernet not in rows:
        raise ValueError(f"row {row.name} gets the cost of row {supernet} as its budget: run --only={supernet} first")
    return _SEARCHES[row.method](config, folder, seed=row.seed, budget=rows[supernet]["cost"], data_dir=data_dir)


@contextlib.contextmanager
def _counting(folder: Path, phase: str) -> Iterator[None]:
    """Add the CPU seconds of the block to those of `phase` in cpu_seconds.json, also if the block is interrupted.

    What a killed process took since its start is lost.
    """
    path, started = folder / "cpu_seconds.json", time.process_time()
    try:
        yield
    finally:
        seconds = _read(path) if path.exists() else {}
        seconds[phase] = round(seconds.get(phase, 0.0) + time.process_time() - started, 1)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(seconds) + "\n")


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
