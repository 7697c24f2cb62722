"""The policy of reinforced mutation, its PPO objective (Schulman et al. 2017), and the value baseline.

An action changes one gene: action l * num_choices + c sets layer l to choice c. The policy is a softmax over all
actions. Its logits are linear in w, the preference among the objectives, which is drawn for every proposal:

    worth(l, c | w) = parameters[l, c] . (1, w)
    logit(l, c | genome, w) = worth(l, c | w) - worth(l, genome[l] | w)

One table thus determines both which layer to change and what to. The current gene has probability 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Decay rates of Adam. The second is lower than usual because a search makes only a few hundred steps.
_MOMENTUM, _SQUARES = 0.9, 0.99


class Batch(NamedTuple):
    """The data of one policy update: n evaluated proposals."""

    genomes: np.ndarray  # (n, L) int64, before mutation
    preferences: np.ndarray  # (n, m) float64
    actions: np.ndarray  # (n,) int64, taken
    old: np.ndarray  # (n, L * C) float64, the policy's probabilities when it proposed
    advantages: np.ndarray  # (n, L * C) float64, of every action, as predicted by the value baseline
    surprises: np.ndarray  # (n,) float64, how much better the action taken was than predicted


def policy(parameters: np.ndarray, genomes: np.ndarray, preferences: np.ndarray) -> np.ndarray:
    """Return the probabilities of all actions.

    Args:
        parameters: (L, C, 1 + m), with C the largest number of choices; the first parameter of choices that a layer
            lacks is -inf.
        genomes: (n, L) int64.
        preferences: (n, m).

    Returns:
        (n, L * C) float64; each row sums to 1.
    """
    num_layers, num_choices, _ = parameters.shape
    worth = (_features(preferences) @ parameters.reshape(num_layers * num_choices, -1).T).reshape(
        -1, num_layers, num_choices
    )
    logits = worth - np.take_along_axis(worth, genomes[:, :, None], axis=2)
    np.put_along_axis(logits, genomes[:, :, None], -np.inf, axis=2)
    logits = logits.reshape(len(genomes), -1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def ppo_objective(parameters: np.ndarray, batch: Batch, *, clip: float, entropy: float) -> tuple[float, np.ndarray]:
    """Return the PPO objective, to be maximised, and its gradient.

    With r = p / p_old and f(r, A) = min(r A, clip(r, 1 - clip, 1 + clip) A), the objective is the batch mean of

        sum_a p_old(a) f(r(a), advantage(a)) + f(r(taken), surprise) + entropy * H(p)

    This deviates from PPO, which uses only the advantage of the action taken. Here the value baseline is a function of
    the genome, so it predicts the advantage of every action. The first term is the exact expectation of these, and the
    second corrects it by what was observed. Together they have the expectation of PPO's term and much less variance (a
    control variate, as in Q-Prop: Gu et al. 2017).

    Args:
        parameters: (L, C, 1 + m), see `policy`.
        batch: the evaluated proposals.
        clip: epsilon of PPO.
        entropy: weight of the entropy bonus.

    Returns:
        The objective and its gradient, (L, C, 1 + m).
    """
    n, rows = len(batch.actions), np.arange(len(batch.actions))
    probabilities = policy(parameters, batch.genomes, batch.preferences)
    possible = batch.old > 0
    ratios = np.divide(probabilities, batch.old, out=np.ones_like(batch.old), where=possible)
    expected = batch.old * _clipped(ratios, batch.advantages, clip)
    taken = ratios[rows, batch.actions]
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    entropies = -(probabilities * logs).sum(axis=1)
    value = (expected.sum(axis=1) + _clipped(taken, batch.surprises, clip) + entropy * entropies).mean()

    # d/d log p of the three terms, then back through the softmax, the difference of worths, and the features.
    slopes = probabilities * np.where(_moves(ratios, batch.advantages, clip) & possible, batch.advantages, 0.0)
    slopes[rows, batch.actions] += np.where(_moves(taken, batch.surprises, clip), taken * batch.surprises, 0.0)
    slopes -= probabilities * slopes.sum(axis=1, keepdims=True)
    slopes -= entropy * probabilities * (logs + entropies[:, None])
    num_layers, num_choices, _ = parameters.shape
    slopes = slopes.reshape(n, num_layers, num_choices)
    current = np.take_along_axis(slopes, batch.genomes[:, :, None], axis=2) - slopes.sum(axis=2, keepdims=True)
    np.put_along_axis(slopes, batch.genomes[:, :, None], current, axis=2)
    gradient = slopes.reshape(n, -1).T @ _features(batch.preferences) / n
    return float(value), gradient.reshape(parameters.shape)


def _features(preferences: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(preferences), 1)), preferences], axis=1)


def _clipped(ratios: np.ndarray, advantages: np.ndarray, clip: float) -> np.ndarray:
    return np.minimum(ratios * advantages, np.clip(ratios, 1 - clip, 1 + clip) * advantages)


def _moves(ratios: np.ndarray, advantages: np.ndarray, clip: float) -> np.ndarray:
    """Return where `_clipped` depends on the ratio."""
    return np.where(advantages > 0, ratios < 1 + clip, ratios > 1 - clip)


class Policy:
    """The parameters of a policy, (L, C, 1 + m), with the moments of its optimizer, Adam.

    Args:
        num_choices: number of choices of each layer.
        num_objectives: m.
    """

    def __init__(self, num_choices: Sequence[int], *, num_objectives: int):
        shape = (3, len(num_choices), max(num_choices), 1 + num_objectives)
        self.parameters, self._mean, self._square = np.zeros(shape)
        for layer, choices in enumerate(num_choices):
            self.parameters[layer, choices:, 0] = -np.inf  # choices that the layer lacks: never taken, no gradient
        self._steps = 0

    def probabilities(self, genomes: np.ndarray, preferences: np.ndarray) -> np.ndarray:
        """Return the probabilities of all actions, see `policy`."""
        return policy(self.parameters, genomes, preferences)

    def improve(self, batch: Batch, *, epochs: int, learning_rate: float, clip: float, entropy: float) -> None:
        """Take `epochs` ascent steps on the PPO objective of the whole batch."""
        for _ in range(epochs):
            _, gradient = ppo_objective(self.parameters, batch, clip=clip, entropy=entropy)
            self._steps += 1
            self._mean = _MOMENTUM * self._mean + (1 - _MOMENTUM) * gradient
            self._square = _SQUARES * self._square + (1 - _SQUARES) * gradient**2
            mean = self._mean / (1 - _MOMENTUM**self._steps)
            square = self._square / (1 - _SQUARES**self._steps)
            self.parameters = self.parameters + learning_rate * mean / (np.sqrt(square) + 1e-8)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the complete state as float64 arrays, for `set_arrays`."""
        steps = np.array([self._steps], np.float64)
        return {"parameters": self.parameters, "mean": self._mean, "square": self._square, "steps": steps}

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        self.parameters, self._mean, self._square = arrays["parameters"], arrays["mean"], arrays["square"]
        self._steps = int(arrays["steps"][0])


class ValueBaseline:
    """A predictor of a genome's costs, linear in its genes, by ridge regression on all evaluated models.

    Args:
        num_choices: number of choices of each layer.
        num_objectives: m.
        ridge: pulls the contribution of an unseen gene to 0, the mean (the constant is not penalised).
        memory: models of t updates ago have weight `memory` ** t. The fit follows the population, so objectives need
            to be additive only near it.
    """

    def __init__(self, num_choices: Sequence[int], *, num_objectives: int, ridge: float, memory: float):
        self._num_choices, self._memory = max(num_choices), memory
        size = len(num_choices) * self._num_choices + 1  # the last one is the constant
        self._prior = np.diag([*[ridge] * (size - 1), 1e-6])
        self._squares, self._products = self._prior.copy(), np.zeros((size, num_objectives))
        self._solution = np.zeros((size, num_objectives))
        self._triangle = np.triu_indices(size)

    def update(self, genomes: np.ndarray, costs: np.ndarray) -> None:
        """Fit the predictor to further evaluated genomes, (n, L), and their costs, (n, m)."""
        inputs = np.zeros((len(genomes), len(self._prior)))
        np.put_along_axis(inputs, self._columns(genomes), 1.0, axis=1)
        inputs[:, -1] = 1.0
        self._squares = self._memory * self._squares + (1 - self._memory) * self._prior + inputs.T @ inputs
        self._products = self._memory * self._products + inputs.T @ costs
        self._solution = np.linalg.solve(self._squares, self._products)

    def costs(self, genomes: np.ndarray) -> np.ndarray:
        """Return the expected costs of genomes: (n, L) -> (n, m)."""
        return self._solution[self._columns(genomes)].sum(axis=1) + self._solution[-1]

    def savings(self, genomes: np.ndarray) -> np.ndarray:
        """Return how much each action lowers each cost: (n, L) genomes -> (n, L * C, m); keeping a gene lowers none."""
        n, num_layers = genomes.shape
        table = self._solution[:-1].reshape(1, num_layers, self._num_choices, -1)
        current = self._solution[self._columns(genomes)][:, :, None, :]
        return (current - table).reshape(n, num_layers * self._num_choices, -1)

    def _columns(self, genomes: np.ndarray) -> np.ndarray:
        return np.arange(genomes.shape[1]) * self._num_choices + genomes

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what it has learnt as float64 arrays, for `set_arrays`."""
        triangle = self._squares[self._triangle]  # the matrix sums counts, so it is exactly symmetric
        return {"triangle": triangle, "products": self._products, "solution": self._solution}

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        squares = np.zeros_like(self._squares)
        squares[self._triangle] = arrays["triangle"]
        self._squares = np.maximum(squares, squares.T)  # every entry is >= 0
        self._products, self._solution = arrays["products"], arrays["solution"]
