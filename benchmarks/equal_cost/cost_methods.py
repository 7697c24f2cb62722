"""The three ways to search, each of which returns the model that it picks and what that cost."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.equal_cost.cost_config import CostConfig
from benchmarks.equal_cost.costs import Budget, one_shot_cost, supernet_training_cost
from benchmarks.equal_cost.short_training import ShortTraining
from benchmarks.garment_pairs.drawing import SIDE
from scarlet_tf.arch import count_genomes
from scarlet_tf.data import DataConfig, ImageData, open_dataset
from scarlet_tf.progress import progress
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.search import Constraint, Objective, SearchConfig, evaluated_models
from scarlet_tf.search.run import ARCHIVE, search_into
from scarlet_tf.supernet import InitConfig, SupernetConfig, SupernetEvaluator, load_supernet, train_supernet
from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.session import count_steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pick:
    """What a search ends with.

    Attributes:
        genome: the picked model.
        accuracy: by which it was picked, on held-out images: one-shot for "supernet", else of a short training.
        cost: multiply-adds of the whole search.
        budget: what it was allowed to cost.
        models: number of models that were measured.
        finished: number of those that were trained to the end of their schedule; 0 for "supernet".
        spread: lowest and highest accuracy of the models that were measured alike: all, or those at halving's first
            rung.
    """

    genome: tuple[int, ...]
    accuracy: float
    cost: int
    budget: int
    models: int
    finished: int
    spread: tuple[float, float]


def data_config(config: CostConfig, *, data_dir: str | None) -> DataConfig:
    """Return the images of all trainings, augmented as the recipe does it."""
    augment = config.training(epochs=config.final_epochs, seed=0).augment
    where = {"image_size": SIDE, "data_dir": data_dir}
    return DataConfig(name="garment_pairs", search_validation=config.held_out, augment=augment, **where)


def search_supernet(config: CostConfig, folder: Path, *, seed: int, data_dir: str | None) -> Pick:
    """Train a supernet, search it for one-shot accuracy under the limit of multiply-adds, and pick the best model."""
    space, settings = config.space, config.supernet
    trained_in = folder / "supernet"
    training = SupernetConfig(
        space=space,
        data=data_config(config, data_dir=data_dir),
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.steps // 8,
        init=InitConfig(residual_gamma=settings.residual_gamma),
        seed=seed,
    )
    train_supernet(training, trained_in, strategy=make_strategy("one_device"), checkpoint_every=100)
    evaluator = SupernetEvaluator(
        load_supernet(trained_in),
        images=config.images,
        calibration_images=settings.calibration_images,
        data_dir=data_dir,
    )
    search = SearchConfig(
        population=settings.population,
        generations=settings.generations,
        objectives=(Objective(name="accuracy", direction="max", weight=1.0),),
        constraints=(Constraint(name="madds", op="<", bound=config.max_madds + 1),),
        seed=seed,
        picks=1,
    )
    search_into(folder / "search", space, search, evaluator)
    models = evaluated_models(folder / "search" / ARCHIVE)
    accuracies = models.values["accuracy"]
    best = np.lexsort((models.values["madds"], -accuracies))[0]
    evaluated_on = evaluator.num_images + len(evaluator.calibration)
    cost = supernet_training_cost(space, settings) + one_shot_cost(space, models.genomes, images=evaluated_on)
    return Pick(
        genome=tuple(models.genomes[best].tolist()),
        accuracy=float(accuracies[best]),
        cost=cost,
        budget=cost,
        models=len(models),
        finished=0,
        spread=(float(accuracies.min()), float(accuracies.max())),
    )


_PATIENCE = 10_000  # draws in a row of models that may not be trained, after which a search ends


class _Trainings:
    """The short trainings of a row, one model after another, within the budget.

    Args:
        config: the experiment.
        data: the images.
        training: settings of each training.
        rungs: numbers of steps after which a training pauses, the last one being its end.
        budget: multiply-adds that all of them may cost.
        folder: gets a file for each model.
    """

    def __init__(
        self,
        config: CostConfig,
        data: ImageData,
        training: TrainConfig,
        *,
        rungs: tuple[int, ...],
        budget: int,
        folder: Path,
    ) -> None:
        self._config, self._data, self._training, self._folder = config, data, training, folder
        self._space, self._rungs = config.space, rungs
        self.budget = Budget(total=budget)
        self._bar = progress(None, "search by multiply-adds", unit="billion", total=budget // 10**9)
        self._found: dict[tuple[int, ...], dict[int, float]] = {}  # accuracies by number of steps
        self._refused = 0  # draws since the last training

    def offer(self, genome: tuple[int, ...], goes_on: Callable[[int, float], bool]) -> bool:
        """Train a model that is within the limit and new, until `goes_on` returns False at a rung.

        Args:
            goes_on: called with the number of steps and the accuracy at every rung but the last.

        Returns:
            Whether to draw on: False if the budget has run out, or if it seems that no model is left to train.
        """
        madds, _ = count_genomes(self._space, np.array([genome]))
        if madds[0] <= self._config.max_madds and genome not in self._found:
            self._refused = 0
            return self._train(genome, goes_on)
        self._refused += 1
        return self._refused < _PATIENCE

    def _train(self, genome: tuple[int, ...], goes_on: Callable[[int, float], bool]) -> bool:
        """Return False if the budget runs out."""
        training = ShortTraining(
            self._space.spec(genome),
            self._data,
            self._training,
            total_steps=self._rungs[-1],
            images=self._config.images,
            record=self._folder / "models" / f"{len(self._found):04d}.json",
        )
        before = 0
        for steps in self._rungs:
            if not self.budget.spend(training.cost(before, steps)):
                return False
            accuracy = training.accuracy_after(steps)
            self._bar.update(self.budget.spent // 10**9 - self._bar.n)
            self._found.setdefault(genome, {})[steps] = accuracy
            if steps == self._rungs[-1] or not goes_on(steps, accuracy):
                return True
            before = steps
        return True

    def close(self) -> None:
        """End the progress bar."""
        self._bar.close()

    def pick(self) -> Pick:
        """Pick the most accurate of the models that were trained longest.

        Raises:
            ValueError: if no model was found within the limit, or the budget did not suffice for one.
        """
        if self._refused == _PATIENCE and not self._found:
            raise ValueError(f"none of {_PATIENCE} models drawn has at most max_madds={self._config.max_madds}")
        if not self._found:
            raise ValueError(
                f"a budget of {self.budget.total} multiply-adds does not suffice for the first training: expected "
                "more fair steps, or fewer epochs"
            )
        best = max(self._found, key=lambda genome: max(self._found[genome].items()))
        first = [accuracies[self._rungs[0]] for accuracies in self._found.values()]
        return Pick(
            genome=best,
            accuracy=max(self._found[best].items())[1],
            cost=self.budget.spent,
            budget=self.budget.total,
            models=len(self._found),
            finished=sum(self._rungs[-1] in accuracies for accuracies in self._found.values()),
            spread=(min(first), max(first)),
        )


def search_at_random(config: CostConfig, folder: Path, *, seed: int, budget: int, data_dir: str | None) -> Pick:
    """Train random models under the limit, one after another, and pick the best."""
    data = open_dataset(data_config(config, data_dir=data_dir))
    training = config.training(epochs=config.random_epochs, seed=seed)
    _, steps = count_steps(data, training)
    space, rng, draws_on = config.space, np.random.default_rng(seed), True
    with contextlib.closing(_Trainings(config, data, training, rungs=(steps,), budget=budget, folder=folder)) as made:
        while draws_on:
            genome = tuple(space.random(rng, 1)[0].tolist())
            draws_on = made.offer(genome, lambda steps, accuracy: True)
        return made.pick()


def search_by_halving(config: CostConfig, folder: Path, *, seed: int, budget: int, data_dir: str | None) -> Pick:
    """Train random models under the limit by Optuna's asynchronous successive halving, and pick the best.

    A model that passes a rung goes on with its training; nothing is trained again.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = open_dataset(data_config(config, data_dir=data_dir))
    training = config.training(epochs=config.halving.epochs, seed=seed)
    steps_per_epoch, _ = count_steps(data, training)
    rungs = config.halving.steps(steps_per_epoch)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=rungs[0], reduction_factor=config.halving.factor),
    )
    space, draws_on = config.space, True
    with contextlib.closing(_Trainings(config, data, training, rungs=rungs, budget=budget, folder=folder)) as made:
        while draws_on:
            trial = study.ask()
            genes = enumerate(space.num_choices)
            genome = tuple(trial.suggest_int(f"layer {layer}", 0, choices - 1) for layer, choices in genes)

            def goes_on(steps: int, accuracy: float, trial=trial) -> bool:
                trial.report(accuracy, steps)
                return not trial.should_prune()

            draws_on = made.offer(genome, goes_on)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)  # the picking compares models at the last rung
        return made.pick()
