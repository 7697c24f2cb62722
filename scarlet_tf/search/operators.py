"""Selection, crossover and mutation of genomes (paper: Algorithm 1, "Crossover", "Mutation")."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from scarlet_tf.choices import check_known
from scarlet_tf.search.objectives import ACCURACY, Objective

CROSSOVER = "crossover"


def tournament(rng: np.random.Generator, ranks: np.ndarray, crowding: np.ndarray, count: int) -> np.ndarray:
    """Select by binary tournaments: the lower rank wins, then the larger weighted crowding, then the first drawn.

    Args:
        rng: random generator.
        ranks, crowding: (n,).
        count: number of tournaments.

    Returns:
        (count,) int64 winners. The two contestants of a tournament are distinct if n > 1.
    """
    first = rng.integers(0, len(ranks), count)
    second = (first + rng.integers(1, max(len(ranks), 2), count)) % len(ranks)
    better = (ranks[second] < ranks[first]) | ((ranks[second] == ranks[first]) & (crowding[second] > crowding[first]))
    return np.where(better, second, first)


def single_point_crossover(rng: np.random.Generator, mothers: np.ndarray, fathers: np.ndarray) -> np.ndarray:
    """Return (n, L) children of (n, L) parents: mother's genes before a cut drawn from 1..L-1, then the father's."""
    n, length = mothers.shape
    cuts = rng.integers(1, max(length, 2), (n, 1))
    return np.where(np.arange(length) < cuts, mothers, fathers)


def genome_key(genome: np.ndarray) -> bytes:
    """Return a hashable key of a genome."""
    return genome.astype(np.int64).tobytes()


class Parents(NamedTuple):
    """The parents of n genomes made by crossover, mothers first."""

    genomes: np.ndarray  # (n, 2, L) int64
    values: dict[str, np.ndarray]  # (n, 2) each: accuracy and the cheap quantities


class Mutator(Protocol):
    """Protocol of mutation operators, which may learn from evaluated models.

    In each generation, `propose` is called any number of times, then `update` once with all models that the generation
    evaluated. Proposals rejected before evaluation (by a cheap constraint, or as already known) are not among them. A
    search that is killed and resumed keeps only what `state` returns after `update`.

    Attributes:
        name: its name in the mixture and the archive.
        settings: JSON values; archives made with other settings are rejected.
    """

    name: str
    settings: dict[str, object]

    def propose(self, genomes: np.ndarray, rng: np.random.Generator, parents: Parents) -> np.ndarray:
        """Return (n, L) mutants of (n, L) int64 genomes.

        Args:
            genomes: children of crossover, not evaluated themselves.
            rng: the only source of randomness, so that a resumed search is reproducible.
            parents: the genomes' parents.
        """
        ...

    def update(self, genomes: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Learn from evaluated models.

        Args:
            genomes: (n, L) int64 in order of evaluation, including infeasible ones.
            values: their quantities by name, (n,) each.
        """
        ...

    def state(self) -> dict[str, object]:
        """Return what it has learnt, as JSON values."""
        ...

    def restore(self, state: Mapping[str, object]) -> None:
        """Restore a `state`."""
        ...


def changeable_layers(num_choices: Sequence[int]) -> np.ndarray:
    """Return the indices of layers with more than one choice; raise ValueError if there are none."""
    layers = np.flatnonzero(np.array(num_choices) > 1)
    if not layers.size:
        raise ValueError("a search needs a layer with at least two choices, got one choice in each layer")
    return layers


class RandomMutation:
    """A `Mutator` that replaces the choice of one layer; both are drawn uniformly.

    Args:
        num_choices: number of choices of each layer.
    """

    name = "random"

    def __init__(self, num_choices: Sequence[int]):
        self._num_choices = np.array(num_choices)
        self._layers = changeable_layers(num_choices)
        self.settings: dict[str, object] = {}

    def propose(self, genomes: np.ndarray, rng: np.random.Generator, parents: Parents | None = None) -> np.ndarray:
        mutants, rows = genomes.copy(), np.arange(len(genomes))
        layers = self._layers[rng.integers(0, len(self._layers), len(genomes))]
        shifts = rng.integers(1, self._num_choices[layers])
        mutants[rows, layers] = (mutants[rows, layers] + shifts) % self._num_choices[layers]
        return mutants

    def update(self, genomes: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Do nothing: random mutation does not learn."""

    def state(self) -> dict[str, object]:
        return {}

    def restore(self, state: Mapping[str, object]) -> None:
        """Do nothing: there is no state."""


class RouletteMutation:
    """A `Mutator` that replaces the choice of a random layer, favouring choices of good evaluated models.

    The prior of a choice in a layer, for one objective, is the running mean of that objective over the evaluated models
    with this choice there. One imaginary model of average value is added, so that an unseen choice counts as average.
    The slices of the wheel are these means, scaled to 0..1 within the layer, where 1 is best in any unit and direction,
    plus `floor`, so that no choice dies out. Each mutation follows one objective: accuracy with probability
    `accuracy_share` (FairNAS: 0.7), else a cheap one, drawn by weight (0.3 in all).

    FairNAS's 0.7 and 0.3 are taken to hold within each kind of guided mutation, so most wheels are about accuracy.
    With `accuracy_share=0`, the wheel follows the cheap objectives alone.

    Args:
        num_choices: number of choices of each layer.
        objectives: the objectives of the search.
        accuracy_share: in 0..1.
        floor: above 0.
    """

    name = "roulette"

    def __init__(
        self,
        num_choices: Sequence[int],
        *,
        objectives: Sequence[Objective],
        accuracy_share: float = 0.7,
        floor: float = 0.1,
    ):
        if not 0 <= accuracy_share <= 1:
            raise ValueError(f"roulette mutation: accuracy_share must be in 0..1, got {accuracy_share!r}")
        if not (math.isfinite(floor) and floor > 0):
            raise ValueError(f"roulette mutation: floor must be a number > 0, got {floor!r}")
        self._objectives = tuple(objectives)
        self._shares = _objective_shares(self._objectives, accuracy_share)
        self._floor = floor
        self._layers = changeable_layers(num_choices)
        self._present = np.arange(max(num_choices)) < np.array(num_choices)[:, None]
        self._counts = np.zeros(self._present.shape)
        self._sums = np.zeros((len(self._objectives), *self._present.shape))  # of the objective, larger is better
        self.settings = {"accuracy_share": accuracy_share, "floor": floor}

    def wheels(self) -> np.ndarray:
        """Return slices in floor..1 + floor, not normalised: (objectives, num_layers, most choices).

        Slices of choices that a layer lacks are 0.
        """
        # Every model has one choice in layer 0, so its sums give the mean over all models.
        average = self._sums[:, 0].sum(axis=1) / max(self._counts[0].sum(), 1.0)
        means = (self._sums + average[:, None, None]) / (self._counts + 1)
        low = means.min(axis=2, keepdims=True, where=self._present, initial=np.inf)
        high = means.max(axis=2, keepdims=True, where=self._present, initial=-np.inf)
        return np.where(self._present, (means - low) / np.where(high > low, high - low, 1.0) + self._floor, 0.0)

    def propose(self, genomes: np.ndarray, rng: np.random.Generator, parents: Parents | None = None) -> np.ndarray:
        n = len(genomes)
        mutants, rows = genomes.copy(), np.arange(n)
        followed = rng.choice(len(self._objectives), n, p=self._shares)
        layers = self._layers[rng.integers(0, len(self._layers), n)]
        slices = self.wheels()[followed, layers]
        slices[rows, genomes[rows, layers]] = 0.0
        mutants[rows, layers] = draw(rng, slices)
        return mutants

    def update(self, genomes: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        where = (np.arange(genomes.shape[1])[None, :], genomes)
        np.add.at(self._counts, where, 1.0)
        for objective, sums in zip(self._objectives, self._sums, strict=True):
            worth = values[objective.name] if objective.direction == "max" else -values[objective.name]
            np.add.at(sums, where, worth[:, None].astype(np.float64))

    def state(self) -> dict[str, object]:
        return {"counts": self._counts.tolist(), "sums": self._sums.tolist()}

    def restore(self, state: Mapping[str, object]) -> None:
        counts, sums = np.array(state["counts"], np.float64), np.array(state["sums"], np.float64)
        if counts.shape != self._counts.shape or sums.shape != self._sums.shape:
            raise ValueError(f"roulette mutation: state of shape {sums.shape}, expected {self._sums.shape}")
        self._counts, self._sums = counts, sums


def _objective_shares(objectives: Sequence[Objective], accuracy_share: float) -> np.ndarray:
    """Return (m,) probabilities: accuracy's share, and the rest for the cheap objectives by weight.

    If there is only accuracy, or only cheap objectives, they get everything.
    """
    is_accuracy = np.array([objective.name == ACCURACY for objective in objectives])
    weights = np.array([objective.weight for objective in objectives])
    if not is_accuracy.any() or not weights[~is_accuracy].sum():
        return weights / weights.sum() if not is_accuracy.any() else is_accuracy.astype(np.float64)
    cheap = np.where(is_accuracy, 0.0, weights)
    return np.where(is_accuracy, accuracy_share, (1 - accuracy_share) * cheap / cheap.sum())


def draw(rng: np.random.Generator, slices: np.ndarray) -> np.ndarray:
    """Draw a column for each row, with probabilities proportional to the slices: (n, c) >= 0 -> (n,) int64."""
    edges = np.cumsum(slices, axis=1)
    points = rng.random(len(slices)) * edges[:, -1]
    return (edges <= points[:, None]).sum(axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MutationMixture:
    """Probabilities of mutation and of the mutators; the defaults are FairNAS's.

    Shares are renormalised over the mutators of a search: without the reinforced one, random mutation has 0.2/0.35 and
    roulette 0.15/0.35.

    Attributes:
        mutation_ratio: probability that a child of crossover is mutated.
        random, reinforced, roulette: the mutators' shares of mutations.

    Raises:
        ValueError: for a value out of range.
    """

    mutation_ratio: float = 0.8
    random: float = 0.2
    reinforced: float = 0.65
    roulette: float = 0.15

    def __post_init__(self) -> None:
        if not 0 <= self.mutation_ratio <= 1:
            raise ValueError(f"mutation_ratio must be in 0..1, got {self.mutation_ratio!r}")
        for name, share in self.shares.items():
            if not (math.isfinite(share) and share >= 0):
                raise ValueError(f"the share of {name} mutation must be a number >= 0, got {share!r}")

    @property
    def shares(self) -> dict[str, float]:
        return {"random": self.random, "reinforced": self.reinforced, "roulette": self.roulette}

    def probabilities(self, names: Sequence[str]) -> np.ndarray:
        """Return the mutators' probabilities, (len(names),) float64 with sum 1.

        Raises:
            ValueError: for an unknown mutator, or if all shares are 0.
        """
        for name in names:
            check_known("mutator", name, tuple(self.shares))
        shares = np.array([self.shares[name] for name in names], np.float64)
        if not shares.sum() > 0:
            raise ValueError(f"a mutator's share must be > 0, got 0 for all of {list(names)}")
        return shares / shares.sum()


def parse_mutation(text: str) -> MutationMixture:
    """Parse a mixture, NAME:SHARE separated by commas; mutators that are left out have share 0.

    Raises:
        ValueError: for an unknown mutator, one given twice, or shares that are not numbers >= 0 with sum 1.

    Example:
        >>> parse_mutation("random:0.2,reinforced:0.65,roulette:0.15") == MutationMixture()
        True
    """
    shares = dict.fromkeys(MutationMixture().shares, 0.0)
    given: set[str] = set()
    for part in text.split(","):
        name, colon, number = (field.strip() for field in part.partition(":"))
        if not colon:
            raise ValueError(f"invalid mutation {part.strip()!r}: expected NAME:SHARE, such as random:0.2")
        check_known("mutator", name, tuple(shares))
        if name in given:
            raise ValueError(f"mutator {name!r} is given twice in {text!r}, expected once")
        given.add(name)
        try:
            shares[name] = float(number)
        except ValueError:
            raise ValueError(f"invalid mutation {part.strip()!r}: the share must be a number, got {number!r}") from None
    mixture = MutationMixture(**shares)
    total = sum(shares.values())
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise ValueError(f"shares of mutators must sum to 1, got {total:.12g} from {text!r}")
    return mixture


class Proposals(NamedTuple):
    """Genomes to be evaluated, with their origins."""

    genomes: np.ndarray  # (n, L) int64
    parents: np.ndarray  # (n, 2) int64 model ids, -1 for none
    operators: np.ndarray  # (n,) str: "uniform", "crossover", or the mutator's name


def offspring(
    rng: np.random.Generator,
    genomes: np.ndarray,
    ids: np.ndarray,
    *,
    values: Mapping[str, np.ndarray],
    ranks: np.ndarray,
    crowding: np.ndarray,
    count: int,
    mixture: MutationMixture,
    mutators: Sequence[Mutator],
) -> Proposals:
    """Return `count` children, each by two tournaments, single-point crossover, and mutation by the mixture.

    As in Algorithm 1's "crossover(M) and mutation(M)", a child is never just a mutant of one parent, unless both
    tournaments have the same winner.

    Args:
        rng: random generator.
        genomes: (n, L) int64, the population.
        ids, ranks, crowding: of the population, (n,).
        values: quantities of the population by name, (n,) each.
        count: number of children.
        mixture: probabilities of mutation and of the mutators.
        mutators: the mutators of the search.
    """
    winners = tournament(rng, ranks, crowding, 2 * count).reshape(count, 2)
    children = single_point_crossover(rng, genomes[winners[:, 0]], genomes[winners[:, 1]])
    operators = np.full(count, CROSSOVER, dtype=object)
    mutated = rng.random(count) < mixture.mutation_ratio
    used = rng.choice(len(mutators), count, p=mixture.probabilities([mutator.name for mutator in mutators]))
    for index, mutator in enumerate(mutators):
        rows = np.flatnonzero(mutated & (used == index))
        if rows.size:
            pairs = winners[rows]
            parents = Parents(genomes[pairs], {name: column[pairs] for name, column in values.items()})
            children[rows] = mutator.propose(children[rows], rng, parents)
            operators[rows] = mutator.name
    return Proposals(children, ids[winners], operators)


def frozen_states(mutators: Sequence[Mutator]) -> str:
    """Return the states of all mutators, by name, as JSON."""
    return json.dumps({mutator.name: mutator.state() for mutator in mutators})


def restore_states(mutators: Sequence[Mutator], text: str) -> None:
    """Restore the states of all mutators from the JSON of `frozen_states`."""
    states = json.loads(text)
    for mutator in mutators:
        mutator.restore(states[mutator.name])
