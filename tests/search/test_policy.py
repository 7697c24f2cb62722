import numpy as np
import pytest

from scarlet_tf.search import policy as ppo

LAYERS, CHOICES, OBJECTIVES, N = 3, 4, 2, 7


def rng(seed=0):
    return np.random.default_rng(seed)


def some_parameters(seed=0):
    return rng(seed).normal(size=(LAYERS, CHOICES, 1 + OBJECTIVES))


def some_batch(parameters, *, surprises=1.0, seed=1):
    draw = rng(seed)
    genomes = draw.integers(0, CHOICES, (N, LAYERS))
    preferences = draw.dirichlet(np.ones(OBJECTIVES), N)
    old = ppo.policy(parameters, genomes, preferences)
    actions = np.array([draw.choice(LAYERS * CHOICES, p=row) for row in old])
    advantages = draw.normal(size=old.shape)
    return ppo.Batch(genomes, preferences, actions, old, advantages, surprises * draw.normal(size=N))


def test_policy_by_hand():
    parameters = np.zeros((2, 2, 2))
    parameters[0, 1] = [0.5, 1.0]  # worth 0.5 + w
    parameters[1, 0] = [0.0, 2.0]  # worth 2 w
    probabilities = ppo.policy(parameters, np.array([[0, 0]]), np.array([[0.5]]))
    # Layer 0 to choice 1: logit 1.0 - 0; layer 1 to choice 1: logit 0 - 1.0.
    expected = np.exp(1.0) / (np.exp(1.0) + np.exp(-1.0))
    np.testing.assert_allclose(probabilities, [[0, expected, 0, 1 - expected]])


def test_policy_is_uniform_at_first_and_never_keeps_a_gene():
    genomes = rng().integers(0, 13, (50, 19))
    probabilities = ppo.policy(np.zeros((19, 13, 4)), genomes, np.full((50, 3), 1 / 3)).reshape(50, 19, 13)
    assert (np.take_along_axis(probabilities, genomes[:, :, None], 2) == 0).all()
    np.testing.assert_allclose(probabilities[probabilities > 0], 1 / (19 * 12))


@pytest.mark.parametrize("clip", [0.05, 0.2])
@pytest.mark.parametrize("entropy", [0.0, 0.3])
def test_gradient_is_that_of_finite_differences(clip, entropy):
    batch = some_batch(some_parameters())
    # Somewhere else than where it was drawn, so that ratios lie on both sides of the clipping.
    parameters = some_parameters() + 0.2 * rng(3).normal(size=(LAYERS, CHOICES, 1 + OBJECTIVES))
    ratios = ppo.policy(parameters, batch.genomes, batch.preferences)[batch.old > 0] / batch.old[batch.old > 0]
    assert (ratios > 1 + clip).any() and (ratios < 1 - clip).any() and (np.abs(ratios - 1) < clip).any()
    _, gradient = ppo.ppo_objective(parameters, batch, clip=clip, entropy=entropy)
    numeric, step = np.zeros_like(parameters), 1e-6
    for index in np.ndindex(parameters.shape):
        moved = [parameters.copy(), parameters.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        high, low = (ppo.ppo_objective(p, batch, clip=clip, entropy=entropy)[0] for p in moved)
        numeric[index] = (high - low) / (2 * step)
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)
    assert np.abs(gradient).max() > 0.01


def test_what_is_clipped_has_no_gradient():
    batch = some_batch(some_parameters())
    far = some_parameters(5) * 3
    ratios = ppo.policy(far, batch.genomes, batch.preferences) / np.where(batch.old > 0, batch.old, 1.0)
    # Advantages that agree with where the ratio has gone already, and nothing where it is inside the clipping.
    advantages = np.where(ratios > 1.2, 1.0, np.where(ratios < 0.8, -1.0, 0.0)) * (batch.old > 0)
    batch = batch._replace(advantages=advantages, surprises=np.zeros(N))
    value, gradient = ppo.ppo_objective(far, batch, clip=0.2, entropy=0.0)
    np.testing.assert_array_equal(gradient, 0.0)
    kept = np.clip(ratios, 0.8, 1.2)
    assert value == pytest.approx(np.sum(batch.old * kept * advantages) / N)


def test_expected_and_sampled_advantages_agree_on_average():
    """The gradient with the baseline as a control variate is that of plain policy gradient, without its noise."""
    parameters, genome = some_parameters(), np.array([[0, 1, 2]])
    preference = np.array([[0.3, 0.7]])
    old = ppo.policy(parameters, genome, preference)
    reward, guess = rng(8).normal(size=(2, 1, LAYERS * CHOICES))  # of every action; and what the baseline takes it for
    gradients = {}
    for name, expected in {"plain": np.zeros_like(reward), "with a guess": guess}.items():
        parts = []
        for action in np.flatnonzero(old[0]):
            surprise = (reward - expected)[0, action]
            batch = ppo.Batch(genome, preference, np.array([action]), old, expected, np.array([surprise]))
            parts.append(ppo.ppo_objective(parameters, batch, clip=0.2, entropy=0.0)[1])
        gradients[name] = np.tensordot(old[0][old[0] > 0], np.array(parts), 1)
    np.testing.assert_allclose(gradients["plain"], gradients["with a guess"], atol=1e-12)


def test_entropy_bonus_is_the_entropy_and_flattens_the_policy():
    parameters = some_parameters()
    batch = some_batch(parameters, surprises=0.0)._replace(advantages=np.zeros((N, LAYERS * CHOICES)))
    value, gradient = ppo.ppo_objective(parameters, batch, clip=0.2, entropy=0.5)
    entropies = [-sum(p * np.log(p) for p in row if p > 0) for row in batch.old]
    assert value == pytest.approx(0.5 * np.mean(entropies))
    again, _ = ppo.ppo_objective(parameters + 0.1 * gradient, batch, clip=0.2, entropy=0.5)
    assert value < again < 0.5 * np.log(LAYERS * (CHOICES - 1))
    learner = ppo.Policy((CHOICES,) * LAYERS, num_objectives=OBJECTIVES)
    learner.parameters = parameters
    learner.improve(batch, epochs=400, learning_rate=0.05, clip=0.2, entropy=0.5)
    flat = ppo.policy(learner.parameters, batch.genomes, batch.preferences)
    np.testing.assert_allclose(flat[flat > 0], 1 / (LAYERS * (CHOICES - 1)), atol=0.02)


def test_policy_learns_a_separable_target():
    """A bandit: the reward is the worth that the target gives to a gene, over the one it replaces."""
    draw, worth = rng(4), rng(5).normal(size=(19, 13))
    learner = ppo.Policy((13,) * 19, num_objectives=1)
    rows = np.arange(40)

    def play():
        genomes = draw.integers(0, 13, (40, 19))
        old = learner.probabilities(genomes, np.ones((40, 1)))
        actions = np.array([draw.choice(19 * 13, p=row) for row in old])
        layers = actions // 13
        return genomes, old, actions, worth[layers, actions % 13] - worth[layers, genomes[rows, layers]]

    first = np.mean([play()[3].mean() for _ in range(20)])
    for _ in range(100):
        genomes, old, actions, rewards = play()
        surprises = (rewards - rewards.mean()) / rewards.std()  # no baseline at all: PPO as it is known
        batch = ppo.Batch(genomes, np.ones((40, 1)), actions, old, np.zeros_like(old), surprises)
        learner.improve(batch, epochs=6, learning_rate=0.02, clip=0.2, entropy=0.01)
    last = np.mean([play()[3].mean() for _ in range(20)])
    genomes = play()[0]
    best = (worth - np.take_along_axis(worth[None], genomes[:, :, None], 2)).max((1, 2)).mean()
    assert abs(first) < 0.25 and last > 0.7 * best


def test_value_baseline_finds_additive_costs():
    worth, draw = rng(2).normal(size=(19, 13, 3)), rng(3)
    baseline = ppo.ValueBaseline((13,) * 19, num_objectives=3, ridge=1e-6, memory=0.9)
    np.testing.assert_array_equal(baseline.costs(np.zeros((2, 19), int)), 0.0)

    def costs(genomes):
        return worth[np.arange(19), genomes].sum(axis=1)

    for _ in range(10):
        genomes = draw.integers(0, 13, (100, 19))
        baseline.update(genomes, costs(genomes))
    genomes = draw.integers(0, 13, (30, 19))
    np.testing.assert_allclose(baseline.costs(genomes), costs(genomes), atol=1e-3)
    savings = baseline.savings(genomes).reshape(30, 19, 13, 3)
    changed = genomes.copy()
    changed[:, 4] = 7
    np.testing.assert_allclose(savings[:, 4, 7], costs(genomes) - costs(changed), atol=1e-3)
    assert (np.take_along_axis(savings, genomes[:, :, None, None], 2) == 0).all()


def test_value_baseline_forgets():
    genomes = np.zeros((50, 2), int)
    kept, forgetful = (ppo.ValueBaseline((3, 3), num_objectives=1, ridge=1.0, memory=memory) for memory in (1.0, 0.5))
    for baseline in (kept, forgetful):
        baseline.update(genomes, np.zeros((50, 1)))
        baseline.update(genomes, np.ones((50, 1)))
    # Two batches of equal weight; and of weights 1/2 and 1.
    assert kept.costs(genomes)[0, 0] == pytest.approx(1 / 2, abs=1e-6)
    assert forgetful.costs(genomes)[0, 0] == pytest.approx(2 / 3, abs=1e-6)
