"""Train the supernets and the models, and measure one-shot accuracies; a second call resumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.measured_accuracy import accuracy_by_measured
from benchmarks.rank.random_models import draw_genomes
from benchmarks.rank.ranking import model_folder, train_alone
from benchmarks.rank_settings.rank_config import AloneRow, RankConfig, SupernetRow
from scarlet_tf.arch import count_genomes
from scarlet_tf.data import open_dataset
from scarlet_tf.progress import progress
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import SupernetEvaluator, load_supernet, train_supernet
from scarlet_tf.supernet.supernet_config import BN_MODES


def run_row(
    config: RankConfig,
    row: SupernetRow | AloneRow,
    folder: Path,
    rows: Mapping[str, dict],
    *,
    data_dir: str | None,
) -> dict:
    """Train and measure a row; what is in its folder is not done again.

    Args:
        config: the experiment.
        row: a supernet, or one training of each model of a draw.
        folder: of the row.
        rows: not used; a row does not depend on others.
        data_dir: data folder of tensorflow-datasets.

    Returns:
        Of a supernet {"one_shot": {draw: {BN mode: accuracies of the models}}}, of models on their own {"genomes",
        "madds", "test": accuracies with moving statistics, "test_measured": accuracies with measured ones}.
    """
    run = _run_supernet if isinstance(row, SupernetRow) else _run_alone
    return run(config, row, folder, data_dir=data_dir)


def _run_supernet(config: RankConfig, row: SupernetRow, folder: Path, *, data_dir: str | None) -> dict:
    """Train a supernet and measure the models of all draws with its weights, on all held-out images."""
    settings = config.supernets[row.label].config(config.space, config.data(data_dir=data_dir))
    train_supernet(settings, folder / "run", strategy=make_strategy("one_device"), checkpoint_every=100)
    trained = load_supernet(folder / "run")
    one_shot = {draw: {} for draw in config.trainings}
    for bn in BN_MODES:
        evaluator = SupernetEvaluator(trained, bn=bn, data_dir=data_dir)
        for draw in config.trainings:
            one_shot[draw][bn] = evaluator.evaluate(genomes_of(config, draw)).tolist()
    return {"one_shot": one_shot}


def _run_alone(config: RankConfig, row: AloneRow, folder: Path, *, data_dir: str | None) -> dict:
    """Train the models of a draw on the supernets' training images, and measure them on test images."""
    genomes = genomes_of(config, row.draw)
    data = open_dataset(config.data(data_dir=data_dir, augment=row.training.augment))
    madds, _ = count_genomes(config.space, genomes)
    accuracies = train_alone(config.space, data, genomes, [row.training], folder)
    folders = [model_folder(folder, genome, seed=row.training.seed) for genome in genomes]
    return {
        "genomes": genomes.tolist(),
        "madds": madds.tolist(),
        "test": accuracies[:, 0].tolist(),
        "test_measured": [accuracy_by_measured(data, model) for model in progress(folders, "measure", unit="model")],
    }


def genomes_of(config: RankConfig, draw: str) -> np.ndarray:
    """Return the genomes of a draw's models: (models, num_layers)."""
    return draw_genomes(config.space, config.models, seed=config.seed, draw=draw)
