"""Train the supernets and the models, and measure one-shot accuracies; a second call resumes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.garment_pairs.pairs_builder import GarmentPairs
from benchmarks.rank.random_models import draw_genomes
from benchmarks.rank.ranking import train_alone
from benchmarks.rank_settings.rank_config import AloneRow, RankConfig, SupernetRow
from benchmarks.rows import check_settings, made_here, read_finished, select_rows
from scarlet_tf.arch import count_genomes
from scarlet_tf.data import open_dataset
from scarlet_tf.files import write_atomically
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import SupernetEvaluator, load_supernet, train_supernet
from scarlet_tf.supernet.supernet_config import BN_MODES


def finished_rows(paths: Sequence[str | os.PathLike], config: RankConfig) -> dict[str, dict]:
    """Return the rows of a config that earlier results have; raise ValueError as `read_finished`."""
    return read_finished(paths, {row.name: settings_of(row, config) for row in config.rows()})


def run_rows(
    config: RankConfig,
    output: Path,
    *,
    only: str | None,
    data_dir: str | None,
    finished: Mapping[str, dict] | None = None,
) -> dict[str, dict]:
    """Run all rows, or a single one. Finished rows are read from `output`.

    Args:
        config: the experiment.
        output: folder of the rows' folders, by their names, which get row.json at the end.
        only: name of the only row to run; None: all.
        finished: rows that are taken as they are, see `finished_rows`.

    Returns:
        By row, the content of row.json. Of a supernet {"one_shot": {draw: {BN mode: accuracies of the models}}}, of
        models on their own {"genomes", "madds", "test": accuracies}; of both "settings" and "made".

    Raises:
        ValueError: if there is no row `only`, or a row's folder has other settings.
    """
    rows = select_rows(config.rows(), only)
    results = {name: row for name, row in (finished or {}).items() if name in rows}
    for name, row in rows.items():
        if name in results:
            continue
        path = output / name / "row.json"
        settings = settings_of(row, config)
        if not path.exists():
            made = made_here()
            run = _run_supernet if isinstance(row, SupernetRow) else _run_alone
            found = run(config, row, output / name, data_dir=data_dir)
            write_atomically(path, json.dumps({"settings": settings, "made": made} | found) + "\n")
        results[name] = json.loads(path.read_text(encoding="utf-8"))
        check_settings(path.parent, results[name]["settings"], settings)
    return results


def settings_of(row: SupernetRow | AloneRow, config: RankConfig) -> dict:
    """Return the settings that a row's result depends on, as JSON values."""
    settings = config.to_dict()
    shared = {name: settings[name] for name in ("blocks", "held_out", "models", "seed")}
    shared["garment_pairs"] = str(GarmentPairs.VERSION)
    if isinstance(row, SupernetRow):
        return shared | {"draws": settings["draws"]} | settings["supernets"][row.label]
    return shared | {"draw": row.draw, "epochs": settings["epochs"], "training_seed": row.training.seed}


def _run_supernet(config: RankConfig, row: SupernetRow, folder: Path, *, data_dir: str | None) -> dict:
    """Train a supernet and measure the models of all draws with its weights, on all held-out images."""
    settings = config.supernets[row.label].config(config.space, config.data(data_dir=data_dir))
    train_supernet(settings, folder / "run", strategy=make_strategy("one_device"), checkpoint_every=100)
    trained = load_supernet(folder / "run")
    one_shot = {draw: {} for draw in config.draws}
    for bn in BN_MODES:
        evaluator = SupernetEvaluator(trained, bn=bn, data_dir=data_dir)
        for draw in config.draws:
            one_shot[draw][bn] = evaluator.evaluate(genomes_of(config, draw)).tolist()
    return {"one_shot": one_shot}


def _run_alone(config: RankConfig, row: AloneRow, folder: Path, *, data_dir: str | None) -> dict:
    """Train the models of a draw on the supernets' training images, and measure them on test images."""
    genomes = genomes_of(config, row.draw)
    data = open_dataset(config.data(data_dir=data_dir, augment=row.training.augment))
    madds, _ = count_genomes(config.space, genomes)
    accuracies = train_alone(config.space, data, genomes, [row.training], folder)
    return {"genomes": genomes.tolist(), "madds": madds.tolist(), "test": accuracies[:, 0].tolist()}


def genomes_of(config: RankConfig, draw: str) -> np.ndarray:
    """Return the genomes of a draw's models: (models, num_layers)."""
    return draw_genomes(config.space, config.models, seed=config.seed, draw=draw)
