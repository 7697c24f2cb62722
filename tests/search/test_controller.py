import json

import numpy as np
import pytest

from scarlet_tf.search.controller import ControllerConfig, ReinforcedMutation
from scarlet_tf.search.objectives import DEFAULT_OBJECTIVES, Objective
from scarlet_tf.search.operators import Parents

LAYERS, CHOICES = 6, 5
WORTH = np.random.default_rng(7).random((3, LAYERS, CHOICES))


def rng(seed=0):
    return np.random.default_rng(seed)


def values(genomes):
    accuracy, madds, params = WORTH[:, np.arange(LAYERS), genomes].sum(axis=2)
    return {"accuracy": accuracy / LAYERS, "madds": 1e8 * madds, "params": 1e6 * params}


def controller(objectives=DEFAULT_OBJECTIVES, **settings):
    config = ControllerConfig(**settings)
    return ReinforcedMutation((CHOICES,) * LAYERS, objectives=objectives, config=config)


def only_parents(genomes):
    """Of children that are copies of one parent each."""
    pairs = np.stack([genomes, genomes], axis=1)
    return Parents(pairs, {name: np.stack([column] * 2, axis=1) for name, column in values(genomes).items()})


def generation(mutation, draw, *, n=60):
    """Proposes for uniform genomes, learns, and returns the genomes with their children."""
    genomes = draw.integers(0, CHOICES, (n, LAYERS))
    children = mutation.propose(genomes, draw, only_parents(genomes))
    mutation.update(children, values(children))
    return genomes, children


def text(mutation):
    return json.dumps(mutation.state())


def test_changes_one_gene_and_uniformly_at_first():
    genomes = np.full((30_000, LAYERS), 2)
    children = controller().propose(genomes, rng(), only_parents(genomes))
    changed = children != genomes
    assert (changed.sum(axis=1) == 1).all() and (genomes == 2).all()
    np.testing.assert_allclose(changed.mean(axis=0), 1 / LAYERS, atol=0.01)
    np.testing.assert_allclose(
        np.bincount(children[changed], minlength=5) / 30_000, [0.25, 0.25, 0, 0.25, 0.25], atol=0.02
    )


def test_preferences():
    driven, preferences = controller()._preferences(40_000, rng())
    assert (driven == 0).mean() == pytest.approx(0.7, abs=0.01)
    np.testing.assert_allclose(preferences.sum(axis=1), 1)
    accuracy = preferences[driven == 0, 0]
    assert accuracy.min() >= 0.4 and accuracy.mean() == pytest.approx(0.7, abs=0.01)
    assert (preferences[driven == 1, 0] == 0).all()
    # madds weighs twice as much as params: E[2a / (2a + b)] of two exponentials is 2 - 2 ln 2.
    assert preferences[driven == 1, 1].mean() == pytest.approx(2 - 2 * np.log(2), abs=0.01)


@pytest.mark.parametrize(("name", "policy"), [("accuracy", 0), ("madds", 1)])
def test_preferences_among_one_objective(name, policy):
    only = (Objective(name=name, direction="min", weight=1.0),)
    driven, preferences = controller(only)._preferences(50, rng())
    assert (driven == policy).all() and (preferences == 1).all()
    mutation = controller(only)
    for _ in range(3):
        generation(mutation, rng())
    with_idle = (*only, Objective(name="params", direction="max", weight=0.0))
    _, preferences = controller(with_idle)._preferences(50, rng())
    assert (preferences == [1, 0]).all()


def test_cost_of_parents_is_their_mean_by_inherited_genes():
    mother, father = np.zeros(LAYERS, int), np.array([0, 0, 1, 1, 1, 1])  # they differ in 4 genes
    child = np.array([0, 0, 0, 1, 1, 1])  # of which 1 is hers
    pairs = np.array([[mother, father], [mother, mother]])
    of_both = {"accuracy": np.array([[0.4, 0.8]] * 2), "madds": np.ones((2, 2)), "params": np.zeros((2, 2))}
    cost, inherited = controller()._inherited(np.array([child, mother]), Parents(pairs, of_both))
    np.testing.assert_allclose(cost[:, 0], [-(0.25 * 0.4 + 0.75 * 0.8), -0.4])
    np.testing.assert_allclose(cost[:, 1:], [[1, 0], [1, 0]])
    assert (inherited == 0).all()  # nothing is known of genes yet


def test_baseline_takes_out_what_crossover_brought():
    mutation = controller(memory=1.0, ridge=1e-6)
    genomes = rng(1).integers(0, CHOICES, (500, LAYERS))
    mutation.update(genomes, values(genomes))
    mothers, fathers = genomes[:40], genomes[40:80]
    children = np.where(np.arange(LAYERS) < 3, mothers, fathers)
    pairs = np.stack([mothers, fathers], axis=1)
    parents = Parents(pairs, {k: np.stack([v[:40], v[40:80]], axis=1) for k, v in values(genomes).items()})
    cost, inherited = mutation._inherited(children, parents)
    np.testing.assert_allclose((cost + inherited)[:, 0], -values(children)["accuracy"], atol=1e-4)
    np.testing.assert_allclose((cost + inherited)[:, 1], values(children)["madds"], rtol=1e-4)


def gains(mutation, preference, *, n=400):
    """Mean gain of proposals for one objective of `preference`, and the mean of the best ones possible."""
    genomes = rng(9).integers(0, CHOICES, (n, LAYERS))
    policy = mutation._policies[0 if preference[0] else 1]
    probabilities = policy.probabilities(genomes, np.tile(preference, (n, 1)))
    worth = WORTH[int(np.argmax(preference))] * (-1 if preference[1] else 1)
    table = worth - np.take_along_axis(worth[None], genomes[:, :, None], axis=2)
    return (probabilities * table.reshape(n, -1)).sum(axis=1).mean(), table.max(axis=(1, 2)).mean()


@pytest.mark.parametrize("preference", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_learns_what_is_preferred(preference):
    mutation, draw = controller(), rng(3)
    before, best = gains(mutation, preference)
    for _ in range(25):
        generation(mutation, draw)
    after, _ = gains(mutation, preference)
    assert abs(before) < 0.05 * best and after > 0.75 * best


def test_cheap_policy_does_not_see_accuracy():
    told, lied = controller(accuracy_share=0.5), controller(accuracy_share=0.5)
    genomes = rng(2).integers(0, CHOICES, (80, LAYERS))
    for mutation, sign in ((told, 1), (lied, -1)):
        for _ in range(2):
            # As at first, so that both controllers propose the same children.
            mutation._policies[0].set_arrays(controller()._policies[0].arrays())
            children = mutation.propose(genomes, rng(5), only_parents(genomes))
            seen = values(children)
            seen["accuracy"] = 0.5 + sign * (seen["accuracy"] - 0.5)
            mutation.update(children, seen)
    accuracy, cheap = ([m._policies[k].parameters for m in (told, lied)] for k in (0, 1))
    np.testing.assert_allclose(*cheap, atol=1e-9)
    assert np.abs(accuracy[0] - accuracy[1]).max() > 0.1
    assert np.abs(cheap[0]).max() > 0.1


def test_learns_from_its_own_children_only():
    mutation = controller()
    generation(mutation, rng())
    before = [policy.parameters for policy in mutation._policies]
    genomes = rng(1).integers(0, CHOICES, (30, LAYERS))
    mutation.propose(genomes, rng(2), only_parents(genomes))
    others = np.full((1, LAYERS), 4)
    mutation.update(others, values(others))  # every proposal was rejected
    for policy, parameters in zip(mutation._policies, before, strict=True):
        np.testing.assert_array_equal(policy.parameters, parameters)
    assert mutation.state()["pending"] == []


def test_state_round_trip_is_exact_also_between_proposals_and_update():
    mutation, draw = controller(), rng()
    for _ in range(4):
        generation(mutation, draw)
    genomes = draw.integers(0, CHOICES, (50, LAYERS))
    children = mutation.propose(genomes, draw, only_parents(genomes))
    twin = controller()
    twin.restore(json.loads(text(mutation)))
    assert text(twin) == text(mutation) and len(twin.state()["pending"]) > 20
    for one in (mutation, twin):
        one.update(children, values(children))
    assert text(twin) == text(mutation) and not twin.state()["pending"]
    proposed = [one.propose(genomes, rng(8), only_parents(genomes)) for one in (mutation, twin)]
    assert (proposed[0] == proposed[1]).all()


def test_state_of_another_space_is_refused():
    with pytest.raises(ValueError, match=r"state '\w+' has \d+ numbers, expected \d+"):
        ReinforcedMutation((3, 3, 3), objectives=DEFAULT_OBJECTIVES).restore(controller().state())


@pytest.mark.parametrize(
    "setting",
    [
        {"learning_rate": 0.0},
        {"epochs": 0},
        {"epochs": 1.5},
        {"clip": 1.0},
        {"entropy": -0.1},
        {"accuracy_share": 1.1},
        {"accuracy_preference": float("nan")},
        {"ridge": "1"},
        {"memory": 0},
    ],
)
def test_bad_settings(setting):
    with pytest.raises(ValueError, match=f"controller: {next(iter(setting))} must be"):
        ControllerConfig(**setting)
