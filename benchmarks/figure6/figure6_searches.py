"""Figure 6: searches with and without the constraint accuracy > Acc_min, over one supernet.

The paper's Acc_min, 0.4, is for its supernet on ImageNet. Here it is a quantile of the one-shot accuracies of uniformly
drawn models, measured like the search's, on its held-out images: so the constraint refuses that fraction of the models
of generation 0. All arms have the same supernet, images, seeds and settings, and no other constraint.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from benchmarks.intervals import Estimate, t_interval
from benchmarks.uniform import evaluate_uniform
from scarlet_tf.arch import SearchSpace
from scarlet_tf.search import Constraint, Evaluator, Models, SearchConfig, SearchHistory
from scarlet_tf.search.objectives import ACCURACY
from scarlet_tf.search.pareto import non_dominated_ranks
from scarlet_tf.search.run import ARCHIVE, search_into

UNCONSTRAINED = "unconstrained"
_DRAW_SEED = 1000  # far from the searches' seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure6Config:
    """Config of the experiment; the paper's has a population of 70 and 100 generations.

    Attributes:
        quantiles: each adds a constrained arm, whose Acc_min is that quantile, in (0, 1), of the drawn models.
        draws: number of models drawn uniformly for Acc_min.
        seeds: searches per arm, with seeds 0..seeds-1.

    Raises:
        ValueError: for a setting out of range.
    """

    quantiles: tuple[float, ...] = (0.5,)
    draws: int = 200
    population: int = 70
    generations: int = 20
    seeds: int = 3

    def __post_init__(self) -> None:
        if not self.quantiles or len({arm_name(quantile) for quantile in self.quantiles}) < len(self.quantiles):
            raise ValueError(
                f"quantiles must be one or more numbers that differ in six digits, got {list(self.quantiles)}"
            )
        for quantile in self.quantiles:
            if not 0 < quantile < 1:
                raise ValueError(f"a quantile must be between 0 and 1, got {quantile!r}")
        for field in ("draws", "seeds"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be >= 1, got {getattr(self, field)}")
        self.search(None, 0)  # checks population and generations before anything is evaluated

    def search(self, accuracy_above: float | None, seed: int) -> SearchConfig:
        bound = () if accuracy_above is None else (Constraint(name=ACCURACY, op=">", bound=accuracy_above),)
        return SearchConfig(population=self.population, generations=self.generations, constraints=bound, seed=seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchArm:
    """The searches of one arm, one per seed.

    Attributes:
        accuracy_above: Acc_min; None if accuracy is not constrained.
    """

    accuracy_above: float | None
    searches: tuple[SearchHistory, ...]

    @property
    def identity_share(self) -> np.ndarray:
        """Fraction of identities among all genes of the population, (seeds, generations + 1), 0..1."""
        return np.stack([search.identity_share for search in self.searches])

    @property
    def accuracy_range(self) -> np.ndarray:
        """Lowest and highest one-shot accuracy of the final population, (seeds, 2)."""
        finals = [search.final.models.values[ACCURACY] for search in self.searches]
        return np.array([(values.min(), values.max()) for values in finals])

    def fronts(self) -> list[Models]:
        """Return the models of each final population that no other beats in both accuracy and MAdds, by MAdds."""
        return [_front(search.final.models) for search in self.searches]


def arm_name(quantile: float) -> str:
    return f"quantile_{quantile:g}"


def arm_archive(output: str | Path, arm: str, seed: int) -> Path:
    """Return the path at which `run_figure6` keeps a search's archive."""
    return Path(output) / f"{arm}_seed{seed}" / ARCHIVE


def run_figure6(
    config: Figure6Config, output: str | Path, *, space: SearchSpace, evaluator: Evaluator
) -> dict[str, SearchArm]:
    """Run all searches in folders of `output`; resume those that were stopped.

    Args:
        config: the experiment.
        output: folder of the run directories, ARM_seedN.
        space: the supernet's.
        evaluator: measures one-shot accuracy with the supernet.

    Returns:
        The arms by name, the unconstrained one first.

    Raises:
        ArchiveError, ValueError: if a folder's content is damaged, or belongs to other settings or another supernet.
    """
    _, accuracies = evaluate_uniform(
        space, evaluator, path=Path(output) / "uniform.json", count=config.draws, seed=_DRAW_SEED
    )
    bounds = {UNCONSTRAINED: None}
    bounds |= {arm_name(quantile): float(np.quantile(accuracies, quantile)) for quantile in config.quantiles}
    found: dict[str, list[SearchHistory]] = {arm: [] for arm in bounds}
    for seed in range(config.seeds):
        for arm, bound in bounds.items():
            folder = arm_archive(output, arm, seed).parent
            found[arm].append(search_into(folder, space, config.search(bound, seed), evaluator))
    return {arm: SearchArm(accuracy_above=bounds[arm], searches=tuple(searches)) for arm, searches in found.items()}


def compare_identity(arms: dict[str, SearchArm], *, constrained: str) -> dict[str, Estimate]:
    """Return the fraction of identities without minus with the constraint, at the end and over all generations.

    With paired t intervals over the seeds.
    """
    less = arms[UNCONSTRAINED].identity_share - arms[constrained].identity_share
    return {
        "final_population": t_interval(less[:, -1]),
        "mean_over_generations": t_interval(less.mean(axis=1)),
    }


def _front(models: Models) -> Models:
    pairs = np.stack([-models.values[ACCURACY], models.values["madds"]], axis=1)
    rows = np.flatnonzero(non_dominated_ranks(pairs) == 0)
    return models.take(rows[np.argsort(models.values["madds"][rows], kind="stable")])
