"""How well a supernet ranks models: one-shot accuracy compared with stand-alone accuracy.

One-shot accuracy is measured on the images held out for the search. Stand-alone accuracy is measured on the test set,
with models without LETs, trained from scratch on the same images as the supernet. Kendall's tau-b compares the two
rankings. Two trainings of the same models with different seeds do not agree perfectly either: their tau shows how
reliable the ranking by a single training is.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.intervals import bootstrap
from benchmarks.kendall import kendall_tau
from benchmarks.machine import provenance
from benchmarks.rank.random_models import draw_genomes
from benchmarks.rank.ranking_page import draw_ranking, make_ranking_page
from benchmarks.result_files import write_result
from scarlet_tf.arch import SearchSpace, count
from scarlet_tf.data import ImageData, open_dataset
from scarlet_tf.runs.runlog import RunLog
from scarlet_tf.supernet import SupernetEvaluator, load_supernet
from scarlet_tf.supernet.supernet_config import BN_MODES
from scarlet_tf.training.config import TrainConfig, train_config
from scarlet_tf.training.trainer import train


def rank(
    supernet: str | Path,
    output: str | Path,
    *,
    command: str,
    models: int = 16,
    draw: str = "uniform",
    recipe: str = "small",
    epochs: float | None = None,
    repeats: int = 1,
    images: int | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    skip_damaged: bool = False,
) -> dict:
    """Train random models of a supernet's space and compare their accuracies with their one-shot accuracies.

    Writes models/GENOME/seed_SEED/ (see `train`), log.jsonl, rank.json, .svg, .png and .md into `output`. A second call
    resumes: finished models are not trained again, so `models` and `repeats` may grow, and the supernet may be
    replaced by another one of the same space and data. With draw "madds", another number of models draws others.

    Args:
        supernet: run directory of a trained supernet.
        output: run directory of the ranking.
        command: the command that repeats the ranking, for rank.json and rank.md.
        models: number of models, 2 or more.
        draw: see `random_models.draw_genomes`.
        recipe: training recipe of the stand-alone models.
        epochs: of stand-alone training; None: the recipe's.
        repeats: number of stand-alone trainings of each model, with the seeds `seed`, `seed` + 1, ...; their mean
            accuracy is compared.
        images: number of held-out images for one-shot accuracy; None: all.
        seed: of the genomes, and of the first stand-alone training.
        data_dir, skip_damaged: see `DataConfig`.

    Returns:
        The content of rank.json.
    """
    trained = load_supernet(supernet)
    genomes = draw_genomes(trained.space, models, seed=seed, draw=draw)
    overrides = {} if epochs is None else {"epochs": epochs}
    configs = [train_config(recipe, seed=seed + repeat, **overrides) for repeat in range(repeats)]
    where = {"data_dir": data_dir, "skip_damaged": skip_damaged}
    data = dataclasses.replace(
        trained.config.data,
        augment=configs[0].augment,
        data_dir=data_dir,
        skip_damaged=skip_damaged or trained.config.data.skip_damaged,
    )
    trainings = train_alone(trained.space, open_dataset(data), genomes, configs, Path(output))
    alone = trainings.mean(axis=1)
    one_shot = {bn: SupernetEvaluator(trained, bn=bn, images=images, **where).evaluate(genomes) for bn in BN_MODES}
    madds = np.array([count(trained.space.spec(genome)).madds for genome in genomes])
    result = provenance(command) | {
        "supernet": {"fingerprint": trained.fingerprint, "step": trained.step, "config": trained.config.to_dict()},
        "stand_alone": configs[0].to_dict(),
        "repeats": repeats,
        "draw": draw,
        "seed": seed,
        "tau": {name: tau_between(values, alone) for name, values in one_shot.items()},
        "tau_of_madds": tau_between(madds, alone),
        "tau_of_trainings": tau_of_trainings(trainings) if repeats > 1 else None,
        "models": [
            {
                "genome": genome.tolist(),
                "madds": int(madds[i]),
                "stand_alone": float(alone[i]),
                "trainings": trainings[i].tolist(),
                "one_shot": {bn: float(values[i]) for bn, values in one_shot.items()},
            }
            for i, genome in enumerate(genomes)
        ],
    }
    page = make_ranking_page({"rank.svg": result})
    write_result(Path(output) / "rank", result, page, chart=draw_ranking(result))
    return result


def train_alone(
    space: SearchSpace, data: ImageData, genomes: np.ndarray, configs: Sequence[TrainConfig], output: Path
) -> np.ndarray:
    """Train every model from scratch with every config, in models/GENOME/seed_SEED/ of `output`.

    Models that are trained already are not trained again.

    Returns:
        Test accuracies, (n, len(configs)).
    """
    accuracies = np.empty((len(genomes), len(configs)))
    with RunLog(output, total_steps=accuracies.size, description="trainings") as log:
        for done, (repeat, i) in enumerate(np.ndindex(accuracies.T.shape), start=1):
            genome, config = genomes[i].tolist(), configs[repeat]
            folder = model_folder(output, genome, seed=config.seed)
            result = train(space.spec(genome), data, config, output=folder)
            accuracies[i, repeat] = result["test"]["top1"]
            log.log(done, {"test_top1": accuracies[i, repeat], "seconds": result["seconds"]})
            log.advance(done, {"test_top1": accuracies[i, repeat]})
    return accuracies


def model_folder(output: Path, genome: Sequence[int], *, seed: int) -> Path:
    """Return the folder in which `train_alone` keeps a model, a subfolder of its `output`."""
    return output / "models" / "_".join(map(str, genome)) / f"seed_{seed}"


def tau_between(predicted: np.ndarray, actual: np.ndarray) -> dict | None:
    """Return tau-b of two rankings of the same models, bootstrapped over these: (n,) each.

    Returns:
        An `Estimate` as JSON values; None if all values of a ranking are equal.
    """
    pairs = np.stack([predicted, actual], axis=1)
    return _over_models(lambda rows: kendall_tau(rows[:, 0], rows[:, 1]), pairs)


def tau_of_trainings(trainings: np.ndarray) -> dict | None:
    """Return the mean tau-b of two trainings over all pairs of repeats, bootstrapped over models.

    Args:
        trainings: (n, repeats) accuracies.

    Returns:
        An `Estimate` as JSON values; None if all accuracies are equal.
    """
    pairs = list(itertools.combinations(range(trainings.shape[1]), 2))
    return _over_models(lambda rows: np.mean([kendall_tau(rows[:, a], rows[:, b]) for a, b in pairs]), trainings)


def _over_models(statistic: Callable[[np.ndarray], float], samples: np.ndarray) -> dict | None:
    """Return the bootstrapped `Estimate` as JSON values; None if all accuracies are equal, which gives no ranking."""
    if np.isnan(statistic(samples)):
        return None
    return dataclasses.asdict(bootstrap(statistic, samples))
