"""Reinforced mutation: a PPO controller that learns which gene to change, and to what (paper: "Mutation"; FairNAS).

The paper does not specify the controller. This is our design:

  - State: a genome, before mutation, and a preference among the objectives, drawn for every proposal.
  - Action: one layer and its new choice (`policy.py`), so the controller also learns where to mutate.
  - Reward: the improvement of the child over its parents in the objectives, weighted by the preference.
  - Baseline: the expected costs of the genome, by linear regression on its genes (`policy.ValueBaseline`).
  - Two policies, as in FairNAS: one driven by accuracy, the other by the cheap objectives alone.

Preferences vary because the search looks for a whole front: with the fixed weights of the objectives, every mutation
would pull towards the same end of it.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scarlet_tf.choices import check_integer
from scarlet_tf.search.objectives import ACCURACY, Objective, costs, weights
from scarlet_tf.search.operators import Parents, draw, genome_key
from scarlet_tf.search.policy import Batch, Policy, ValueBaseline

_POLICIES = (ACCURACY, "cheap")
_SCALE_MEMORY = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControllerConfig:
    """Settings of reinforced mutation.

    State, reward and network:
        A proposal has a preference w, (m,) with sum 1. For the accuracy-driven policy, accuracy's part is drawn from
        U(`accuracy_preference`, 1); for the cheap-driven one it is 0. The rest is divided among the cheap objectives in
        proportion to weight * Exp(1). A child's reward is sum_k w_k (parents' cost - child's cost)_k / s_k, where s_k
        is the running root mean square of that difference over the evaluated children. The parents' cost is the mean of
        mother and father, weighted by their shares of the genes in which they differ. The network is linear in (1, w),
        with one row for every choice of every layer; `policy.py` describes it and the objective.

    Attributes:
        learning_rate: learning rate of Adam.
        epochs: optimizer steps on each generation's children; probability ratios refer to the policy before them.
        clip: epsilon of PPO.
        entropy: weight of the entropy bonus, relative to advantages with a root mean square of 1 under the policy.
        accuracy_share: share of mutations by the accuracy-driven policy; FairNAS's 0.7.
        accuracy_preference: minimum weight of accuracy in the reward of the accuracy-driven policy.
        ridge, memory: see `policy.ValueBaseline`.

    Raises:
        ValueError: for a value out of range.
    """

    learning_rate: float = 0.05
    epochs: int = 6
    clip: float = 0.2
    entropy: float = 0.01
    accuracy_share: float = 0.7
    accuracy_preference: float = 0.4
    ridge: float = 1.0
    memory: float = 0.98

    def __post_init__(self) -> None:
        check_integer("controller: epochs", self.epochs, least=1)
        ranges = {
            "a number > 0": (("learning_rate", "ridge"), lambda x: x > 0),
            "a number >= 0": (("entropy",), lambda x: x >= 0),
            "in 0..1, 0 excluded": (("memory",), lambda x: 0 < x <= 1),
            "between 0 and 1": (("clip",), lambda x: 0 < x < 1),
            "in 0..1": (("accuracy_share", "accuracy_preference"), lambda x: 0 <= x <= 1),
        }
        for expected, (names, fits) in ranges.items():
            for name in names:
                value = getattr(self, name)
                if (
                    isinstance(value, bool)
                    or not isinstance(value, (int, float))
                    or not (math.isfinite(value) and fits(value))
                ):
                    raise ValueError(f"controller: {name} must be {expected}, got {value!r}")


class _Proposal(NamedTuple):
    """A proposal whose child has not been evaluated yet."""

    policy: int
    genome: np.ndarray  # (L,) before mutation
    preference: np.ndarray  # (m,)
    action: int
    parents: np.ndarray  # (m,) the parents' costs
    inherited: np.ndarray  # (m,) expected change of these costs by crossover


class ReinforcedMutation:
    """A `Mutator` that replaces one gene, chosen by a policy that PPO improves once a generation.

    The policy learns from its own proposals that were evaluated, including infeasible ones; the value baseline learns
    from every evaluated model.

    Args:
        num_choices: number of choices of each layer.
        objectives: the objectives of the search.
        config: settings; None: the defaults.
    """

    name = "reinforced"

    def __init__(
        self,
        num_choices: Sequence[int],
        *,
        objectives: Sequence[Objective],
        config: ControllerConfig | None = None,
    ):
        self._config = config or ControllerConfig()
        self._objectives, self._num_choices = tuple(objectives), max(num_choices)
        size = {"num_objectives": len(self._objectives)}
        self._policies = tuple(Policy(num_choices, **size) for _ in _POLICIES)
        self._baseline = ValueBaseline(num_choices, **size, ridge=self._config.ridge, memory=self._config.memory)
        self._scale = np.zeros(len(self._objectives))  # 0: nothing seen yet
        self._pending: dict[bytes, _Proposal] = {}
        self.settings: dict[str, object] = dataclasses.asdict(self._config)

    def propose(self, genomes: np.ndarray, rng: np.random.Generator, parents: Parents) -> np.ndarray:
        n = len(genomes)
        parents_costs, inherited = self._inherited(genomes, parents)
        driven, preferences = self._preferences(n, rng)
        actions = np.empty(n, np.int64)
        for index, policy in enumerate(self._policies):
            rows = np.flatnonzero(driven == index)
            if rows.size:
                actions[rows] = draw(rng, policy.probabilities(genomes[rows], preferences[rows]))
        mutants = genomes.copy()
        mutants[np.arange(n), actions // self._num_choices] = actions % self._num_choices
        for row in range(n):
            proposal = _Proposal(
                int(driven[row]),
                genomes[row].copy(),
                preferences[row],
                int(actions[row]),
                parents_costs[row],
                inherited[row],
            )
            self._pending.setdefault(genome_key(mutants[row]), proposal)
        return mutants

    def update(self, genomes: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        children_costs = costs(self._objectives, values)
        proposals = [self._pending.get(genome_key(genome)) for genome in genomes]
        rows = [row for row, proposal in enumerate(proposals) if proposal is not None]
        if rows:
            self._learn([proposals[row] for row in rows], children_costs[rows])
        # Last, because the advantages above must use the baseline from before these models were evaluated.
        self._baseline.update(genomes, children_costs)
        self._pending = {}

    def state(self) -> dict[str, object]:
        return {
            "policies": {
                name: _packed(policy.arrays()) for name, policy in zip(_POLICIES, self._policies, strict=True)
            },
            "baseline": _packed(self._baseline.arrays()),
            "scale": self._scale.tolist(),
            "pending": [
                [np.frombuffer(child, np.int64).tolist(), *(np.asarray(field).tolist() for field in proposal)]
                for child, proposal in self._pending.items()
            ],
        }

    def restore(self, state: Mapping[str, object]) -> None:
        self._baseline.set_arrays(_unpacked(state["baseline"], like=self._baseline.arrays()))
        for name, policy in zip(_POLICIES, self._policies, strict=True):
            policy.set_arrays(_unpacked(state["policies"][name], like=policy.arrays()))
        self._scale = np.array(state["scale"], np.float64)
        self._pending = {
            genome_key(np.array(child)): _Proposal(
                policy,
                np.array(genome, np.int64),
                np.array(preference),
                action,
                np.array(parents),
                np.array(inherited),
            )
            for child, policy, genome, preference, action, parents, inherited in state["pending"]
        }

    def _preferences(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw the policies of n proposals, (n,) indices, and their preferences, (n, m)."""
        is_accuracy = np.array([objective.name == ACCURACY for objective in self._objectives])
        cheap = np.where(is_accuracy, 0.0, weights(self._objectives))
        by_accuracy = rng.random(n) < self._config.accuracy_share
        part = rng.uniform(self._config.accuracy_preference, 1.0, n)
        shares = cheap * rng.exponential(size=(n, len(cheap)))
        if not is_accuracy.any():
            by_accuracy[:] = False
        elif not cheap.any():  # nothing but accuracy
            return np.zeros(n, np.int64), np.tile(is_accuracy.astype(np.float64), (n, 1))
        shares /= shares.sum(axis=1, keepdims=True)
        part = np.where(by_accuracy, part, 0.0)[:, None]
        return np.where(by_accuracy, 0, 1), np.where(is_accuracy, part, (1 - part) * shares)

    def _inherited(self, genomes: np.ndarray, parents: Parents) -> tuple[np.ndarray, np.ndarray]:
        """Return the parents' costs, (n, m), and the expected change of these costs by crossover, (n, m)."""
        mothers, fathers = parents.genomes[:, 0], parents.genomes[:, 1]
        differ = mothers != fathers
        count = differ.sum(axis=1)
        share = np.where(count, (differ & (genomes == mothers)).sum(axis=1) / np.maximum(count, 1), 1.0)[:, None]
        mother, father = (
            costs(self._objectives, {name: column[:, side] for name, column in parents.values.items()})
            for side in (0, 1)
        )
        expected = share * self._baseline.costs(mothers) + (1 - share) * self._baseline.costs(fathers)
        return share * mother + (1 - share) * father, self._baseline.costs(genomes) - expected

    def _learn(self, proposals: Sequence[_Proposal], children_costs: np.ndarray) -> None:
        policies, genomes, preferences, actions, parents, inherited = (
            np.array(field) for field in zip(*proposals, strict=True)
        )
        gains = parents - children_costs
        square = (gains**2).mean(axis=0)
        seen = self._scale.any()
        square = _SCALE_MEMORY * self._scale**2 + (1 - _SCALE_MEMORY) * square if seen else square
        self._scale = np.sqrt(square)
        scaled = preferences / np.where(self._scale > 0, self._scale, 1.0)
        rewards = (scaled * gains).sum(axis=1)
        # The gain of every action that the baseline expects; a child's reward differs from it by the surprise.
        worth = np.einsum("nam,nm->na", self._baseline.savings(genomes), scaled)
        crossover = (scaled * inherited).sum(axis=1)
        surprises = rewards + crossover - worth[np.arange(len(actions)), actions]
        for index, policy in enumerate(self._policies):
            rows = np.flatnonzero(policies == index)
            if rows.size:
                old = policy.probabilities(genomes[rows], preferences[rows])
                advantages = worth[rows] - (old * worth[rows]).sum(axis=1, keepdims=True)
                size = np.sqrt((old * advantages**2).sum(axis=1).mean()) or 1.0
                policy.improve(
                    Batch(
                        genomes[rows],
                        preferences[rows],
                        actions[rows],
                        old,
                        advantages / size,
                        surprises[rows] / size,
                    ),
                    epochs=self._config.epochs,
                    learning_rate=self._config.learning_rate,
                    clip=self._config.clip,
                    entropy=self._config.entropy,
                )


def _packed(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return arrays as base64 of little-endian float64, which is exact and a third of the size of decimal numbers."""
    return {name: base64.b64encode(array.astype("<f8").tobytes()).decode() for name, array in arrays.items()}


def _unpacked(packed: Mapping[str, str], *, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, array in like.items():
        flat = np.frombuffer(base64.b64decode(packed[name]), "<f8").astype(np.float64)
        if flat.size != array.size:
            raise ValueError(f"reinforced mutation: state {name!r} has {flat.size} numbers, expected {array.size}")
        arrays[name] = flat.reshape(array.shape)
    return arrays
