"""Run the searches and train the models that they pick; a second call resumes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.equal_cost.cost_config import SUPERNET, CostConfig, Row
from benchmarks.equal_cost.cost_methods import (
    Pick,
    data_config,
    search_at_random,
    search_by_halving,
    search_supernet,
)
from benchmarks.garment_pairs.pairs_builder import GarmentPairs
from benchmarks.rows import check_settings, made_here, read_finished, select_rows
from scarlet_tf.arch import count
from scarlet_tf.data import open_dataset
from scarlet_tf.files import write_atomically
from scarlet_tf.training.trainer import train

FIRST_FINAL_SEED = 1000
_SEARCHES = {"random": search_at_random, "halving": search_by_halving}


def finished_rows(paths: Sequence[str | os.PathLike], config: CostConfig) -> dict[str, dict]:
    """Return the rows of a config that earlier results have; raise ValueError as `read_finished`."""
    return read_finished(paths, {row.name: settings_of(row, config) for row in config.rows()})


def settings_of(row: Row, config: CostConfig) -> dict:
    """Return the settings that a row's result depends on, as JSON values."""
    return _common_settings(config) | dataclasses.asdict(row)


def run_rows(
    config: CostConfig,
    output: Path,
    *,
    only: str | None,
    data_dir: str | None,
    finished: Mapping[str, dict] | None = None,
) -> dict[str, dict]:
    """Run all rows, or a single one. Finished rows are read from `output`.

    Args:
        config: the experiment.
        output: folder of the rows' folders, METHOD/SEED, which get pick.json after the search and row.json at the end.
        only: name of the only row to run; None: all.
        finished: rows that are taken as they are, see `finished_rows`.

    Returns:
        The content of row.json by row: "settings", "made", the fields of `Pick`, "madds", "test" (top-1 of the pick
        after its training), and the CPU seconds of "search" and "final".

    Raises:
        ValueError: if there is no row `only`, its budget is not known yet, or `output` has other settings.
    """
    rows = select_rows(config.rows(), only)
    _claim(output, config)
    finished = finished or {}
    results = {name: row for name, row in finished.items() if name in rows}
    for name, row in rows.items():
        if name in results:
            continue
        path = output / name / "row.json"
        if not path.exists():
            write_atomically(
                path, json.dumps(_run(config, row, output, finished=finished, data_dir=data_dir), indent=1) + "\n"
            )
        results[name] = _read(path)
    return results


def _claim(output: Path, config: CostConfig) -> None:
    """Write the settings to `output`; raise ValueError if it has others. Seeds and methods may be added."""
    path, settings = output / "config.json", _common_settings(config)
    output.mkdir(parents=True, exist_ok=True)
    if path.exists():
        check_settings(output, _read(path), settings)
    write_atomically(path, json.dumps(settings, indent=1) + "\n")


def _common_settings(config: CostConfig) -> dict:
    """Return the settings that all rows share."""
    settings = {name: value for name, value in config.to_dict().items() if name not in ("seeds", "methods")}
    return settings | {"garment_pairs": str(GarmentPairs.VERSION)}


def _run(config: CostConfig, row: Row, output: Path, *, finished: Mapping[str, dict], data_dir: str | None) -> dict:
    folder = output / row.name
    picked = folder / "pick.json"
    if not picked.exists():
        with _counting(folder, "search"):
            pick = _search(config, row, output, finished=finished, data_dir=data_dir)
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
        write_atomically(trained, json.dumps({"test": result["test"]["top1"]}) + "\n")
    return {
        "settings": settings_of(row, config),
        "made": made_here(),
        **pick,
        "madds": count(spec).madds,
        **_read(trained),
        "cpu_seconds": _read(folder / "cpu_seconds.json"),
    }


def _search(config: CostConfig, row: Row, output: Path, *, finished: Mapping[str, dict], data_dir: str | None) -> Pick:
    folder = output / row.name
    if row.method == SUPERNET:
        return search_supernet(config, folder, seed=row.seed, data_dir=data_dir)
    supernet = Row(method=SUPERNET, seed=row.seed).name
    if supernet in finished:
        budget = finished[supernet]["cost"]
    elif (output / supernet / "pick.json").exists():
        budget = _read(output / supernet / "pick.json")["cost"]
    else:
        raise ValueError(f"row {row.name} gets the cost of row {supernet} as its budget: run --only={supernet} first")
    return _SEARCHES[row.method](config, folder, seed=row.seed, budget=budget, data_dir=data_dir)


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
