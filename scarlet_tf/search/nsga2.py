"""The constrained and weighted NSGA-II search (paper: Algorithm 1, Fig. 3, Eq. 2)."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.choices import check_integer, check_seed
from scarlet_tf.search.archive import Archive, ArchiveError, open_archive
from scarlet_tf.search.constrained import Evaluated, Patience, collect
from scarlet_tf.search.controller import ReinforcedMutation
from scarlet_tf.search.crowding import rank_and_crowd, survivors
from scarlet_tf.search.evaluator import Evaluator, evaluate_and_record
from scarlet_tf.search.history import SearchHistory, history_of
from scarlet_tf.search.objectives import (
    ACCURACY,
    DEFAULT_CONSTRAINTS,
    DEFAULT_OBJECTIVES,
    CheapQuantity,
    Constraint,
    Objective,
    add_quantities,
    cheap_quantities,
    check_constraints,
    check_objectives,
    cost_box,
    costs,
    measure,
    scaled_costs,
    weights,
)
from scarlet_tf.search.operators import (
    MutationMixture,
    Mutator,
    Proposals,
    RandomMutation,
    RouletteMutation,
    frozen_states,
    genome_key,
    offspring,
    restore_states,
)
from scarlet_tf.search.pareto import equispaced, hypervolume
from scarlet_tf.search.records import Members, Models, Summary

UNIFORM = "uniform"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of a search; the defaults are the paper's.

    Attributes:
        population: n, the size of the population and the number of feasible children in a generation.
        generations: N, the number of generations after generation 0.
        objectives: what to optimise, with weights that sum to 1.
        constraints: what a model must satisfy.
        seed: of the whole search.
        mixture: shares of the mutators.
        picks: K, the number of models picked at the end.
        patience: when to give up on finding models that satisfy the constraints.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> constraints = parse_constraints("madds<1.5e6,accuracy>0.4")
        >>> config = SearchConfig(population=20, generations=5, constraints=constraints)
    """

    population: int = 70
    generations: int = 120
    objectives: tuple[Objective, ...] = DEFAULT_OBJECTIVES
    constraints: tuple[Constraint, ...] = DEFAULT_CONSTRAINTS
    seed: int = 0
    mixture: MutationMixture = dataclasses.field(default_factory=MutationMixture)
    picks: int = 3
    patience: Patience = dataclasses.field(default_factory=Patience)

    def __post_init__(self) -> None:
        for name, least in {"population": 2, "generations": 1, "picks": 1}.items():
            check_integer(f"search: {name}", getattr(self, name), least=least)
        check_seed("search: seed", self.seed)
        if self.picks > self.population:
            raise ValueError(f"search: picks must be at most the population, {self.population}, got {self.picks}")


class Search:
    """A constrained, weighted NSGA-II search of a space, resumable from its archive.

    Generation 0 is P_0 and Q_0: 2n feasible models drawn uniformly. Generation g >= 1 takes the n survivors of
    generation g - 1 by rank and weighted crowding, evaluates n feasible children of them, and keeps the n survivors of
    both. This is Algorithm 1 with each merge at the end of an iteration instead of the beginning of the next, so that
    the last children, already evaluated, can be picked too. The search evaluates 2n + N*n feasible models (paper:
    120 x 70 = 8,400 in the loop), plus infeasible ones.

    An evaluated genome is never evaluated again, nor does it return to the population. Generation g uses a random
    generator seeded by (seed, g) alone, and the mutators' states are archived, so a search that was killed at any time
    resumes as if it had not been. Accuracies of an unfinished generation are archived too, portion by portion, see
    `Evaluator`. A finished search can be resumed with more generations.

    Example:
        >>> search = Search(get_space("small"), SearchConfig(population=20, generations=5), archive="search.sqlite")
        >>> history = search.run(evaluator)  # such as a `scarlet_tf.supernet.SupernetEvaluator`
    """

    def __init__(
        self,
        space: SearchSpace,
        config: SearchConfig,
        *,
        archive: str | os.PathLike | None = None,
        cheap: Mapping[str, CheapQuantity] | None = None,
        mutators: Sequence[Mutator] | None = None,
    ):
        """Check the settings; the archive is opened by `run`.

        Args:
            space: the search space.
            config: the settings.
            archive: path of the SQLite file, created if it does not exist; None: in memory.
            cheap: further quantities by name, for objectives and constraints; madds and params are always available.
            mutators: in their initial states, with names that the mixture has; None: all with a share above 0.

        Raises:
            ObjectiveError: for an unknown quantity, or weights that do not sum to 1.
            ValueError: if the space has fewer models than the search evaluates.
        """
        evaluated = config.population * (config.generations + 2)  # generation 0 evaluates twice as many
        if space.size < evaluated:
            raise ValueError(
                f"population {config.population} and {config.generations} generations need {evaluated} models, but "
                f"space {space.name!r} has {space.size}"
            )
        self.space, self.config, self._path = space, config, archive
        self._cheap = add_quantities(cheap_quantities(space), cheap or {})
        self._objectives = check_objectives(config.objectives, known=(ACCURACY, *self._cheap))
        self._constraints = check_constraints(config.constraints, known=(ACCURACY, *self._cheap))
        self._weights = weights(self._objectives)
        self._box = cost_box(space, self._objectives, self._cheap)
        self._mutators = tuple(self._default_mutators() if mutators is None else mutators)
        config.mixture.probabilities([mutator.name for mutator in self._mutators])
        self._initial_states = frozen_states(self._mutators)

    def run(self, evaluator: Evaluator, *, progress: Callable[[Summary], None] = lambda summary: None) -> SearchHistory:
        """Run all generations that the archive lacks, and pick K models.

        Args:
            evaluator: predicts accuracy.
            progress: called with the summary of each generation after it has been written.

        Returns:
            The history of all generations.

        Raises:
            ArchiveError: if the archive is damaged, belongs to another search, has more generations than configured,
                or cannot be written.
            SearchStalledError: if no more feasible models are found; names the constraint.
        """
        with open_archive(self._path, identity=self.definition(evaluator)) as archive:
            last = archive.last_generation
            if last > self.config.generations:
                raise ArchiveError(
                    f"{archive.path}: has generation {last} already, expected at most {self.config.generations}"
                )
            restore_states(self._mutators, archive.mutators(last) if last >= 0 else self._initial_states)
            known = {genome_key(genome) for genome in archive.models().genomes}
            members = archive.members(last) if last >= 0 else None
            if members:
                self._check_quantities(members.models, path=archive.path)
            for generation in range(last + 1, self.config.generations + 1):
                members, summary = self._advance(generation, members, known=known, evaluator=evaluator, archive=archive)
                progress(summary)
            chosen = equispaced(self._costs(members.models), members.ranks, self.config.picks)
            archive.write_picks(members.models.ids[chosen])
            return history_of(archive)

    def definition(self, evaluator: Evaluator) -> dict[str, object]:
        """Return the JSON values that determine the course of the search; not generations, picks and patience."""
        return {
            "space": self.space.to_dict(),
            "evaluator": evaluator.fingerprint,
            "settings": {
                "population": self.config.population,
                "objectives": ",".join(map(str, self._objectives)),
                "constraints": ",".join(map(str, self._constraints)),
                "seed": self.config.seed,
                "mixture": dataclasses.asdict(self.config.mixture),
                "mutators": {mutator.name: mutator.settings for mutator in self._mutators},
                "quantities": list(self._cheap),
            },
        }

    def _check_quantities(self, models: Models, *, path: str) -> None:
        """Raise ArchiveError if a quantity of an archived model has changed, such as with another latency table."""
        for name, column in measure(self._cheap, models.genomes).items():
            other = np.flatnonzero(column != models.values[name])
            if other.size:
                was, now = models.values[name][other[0]], column[other[0]]
                raise ArchiveError(
                    f"{path}: belongs to another search: the {name} of model {models.ids[other[0]]} is {was}, "
                    f"this search's is {now}"
                )

    def _advance(
        self, generation: int, previous: Members | None, *, known: set[bytes], evaluator: Evaluator, archive: Archive
    ) -> tuple[Members, Summary]:
        started = time.perf_counter()
        rng = np.random.default_rng([self.config.seed, generation])
        n = self.config.population
        if previous is None:
            parents, wanted, propose = None, 2 * n, lambda: self._uniform(rng, 2 * n)
        else:
            parents = self._members(self._survivors(previous.models))
            wanted, propose = n, lambda: self._children(rng, parents)
        evaluated, effort = collect(
            wanted,
            propose,
            evaluate=functools.partial(evaluate_and_record, evaluator, archive=archive),
            cheap=self._cheap,
            constraints=self._constraints,
            known=known,
            patience=self.config.patience,
        )
        children = _models(evaluated, first_id=len(known) - len(evaluated.genomes)).take(evaluated.feasible)
        members = self._members(self._survivors(parents.models.joined(children)) if parents else children)
        for mutator in self._mutators:
            mutator.update(evaluated.genomes, evaluated.values)
        summary = Summary(
            generation=generation,
            hypervolume=self._hypervolume(members.models),
            identity_share=float(self.space.skips(members.models.genomes).mean()),
            front_size=int((members.ranks == 0).sum()),
            survivors=_survivors_by_operator(evaluated, children.ids, members),
            evaluated=len(evaluated.genomes),
            feasible=len(children),
            proposed=effort.proposed,
            rejected=effort.rejected,
            best_accuracy=float(members.models.values[ACCURACY].max()),
            seconds=time.perf_counter() - started,
            evaluation_seconds=effort.evaluation_seconds,
        )
        archive.commit(evaluated, members, summary=summary, mutators=frozen_states(self._mutators))
        return members, summary

    def _default_mutators(self) -> list[Mutator]:
        choices, objectives = self.space.num_choices, self._objectives
        known = (
            RandomMutation(choices),
            ReinforcedMutation(choices, objectives=objectives),
            RouletteMutation(choices, objectives=objectives),
        )
        return [mutator for mutator in known if self.config.mixture.shares[mutator.name] > 0]

    def _uniform(self, rng: np.random.Generator, count: int) -> Proposals:
        nobody = np.full((count, 2), -1, np.int64)
        return Proposals(self.space.random(rng, count), nobody, np.full(count, UNIFORM, dtype=object))

    def _children(self, rng: np.random.Generator, parents: Members) -> Proposals:
        return offspring(
            rng,
            parents.models.genomes,
            parents.models.ids,
            values=parents.models.values,
            ranks=parents.ranks,
            crowding=parents.crowding,
            count=self.config.population,
            mixture=self.config.mixture,
            mutators=self._mutators,
        )

    def _costs(self, models: Models) -> np.ndarray:
        return costs(self._objectives, models.values)

    def _members(self, models: Models) -> Members:
        ranks, crowding = rank_and_crowd(self._costs(models), self._weights)
        return Members(models=models, ranks=ranks, crowding=crowding)

    def _survivors(self, models: Models) -> Models:
        return models.take(survivors(self._costs(models), self._weights, self.config.population))

    def _hypervolume(self, models: Models) -> float:
        scaled = scaled_costs(self._objectives, models.values, box=self._box)
        return hypervolume(scaled, np.ones(len(self._objectives)))


def _survivors_by_operator(evaluated: Evaluated, ids: np.ndarray, members: Members) -> dict[str, int]:
    """Return how many of this generation's feasible models are members, by operator.

    Operators whose feasible models did not survive are included with 0.

    Args:
        ids: of the feasible models.
    """
    operators, alive = evaluated.operators[evaluated.feasible], np.isin(ids, members.models.ids)
    return {str(name): int(alive[operators == name].sum()) for name in np.unique(operators.astype(str))}


def _models(evaluated: Evaluated, *, first_id: int) -> Models:
    ids = np.arange(first_id, first_id + len(evaluated.genomes), dtype=np.int64)
    return Models(ids=ids, genomes=evaluated.genomes, values=evaluated.values)
