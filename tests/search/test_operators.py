import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scarlet_tf.search import operators as op
from scarlet_tf.search.objectives import DEFAULT_OBJECTIVES, Objective


def rng(seed=0):
    return np.random.default_rng(seed)


def test_tournament_prefers_rank_then_crowding():
    wins = np.bincount(op.tournament(rng(), np.array([0, 0, 1]), np.array([1.0, np.inf, np.inf]), 30_000), minlength=3)
    # 1 beats both others, 0 beats 2 only: 2/3 and 1/3 of the tournaments.
    assert wins[2] == 0
    np.testing.assert_allclose(wins[:2] / 30_000, [1 / 3, 2 / 3], atol=0.01)


def test_tournament_of_equals_is_uniform_and_of_one_is_possible():
    wins = np.bincount(op.tournament(rng(), np.zeros(4, int), np.ones(4), 40_000))
    np.testing.assert_allclose(wins / 40_000, 0.25, atol=0.01)
    assert op.tournament(rng(), np.zeros(1, int), np.ones(1), 3).tolist() == [0, 0, 0]


@given(st.integers(1, 20), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_crossover_has_one_cut(length, seed):
    children = op.single_point_crossover(rng(seed), np.zeros((50, length), int), np.ones((50, length), int))
    assert (np.diff(children, axis=1) >= 0).all()
    assert (children[:, 0] == 0).all()
    assert length == 1 or (children[:, -1] == 1).all()


def test_crossover_cuts_everywhere():
    children = op.single_point_crossover(rng(), np.zeros((20_000, 5), int), np.ones((20_000, 5), int))
    cuts = np.bincount((children == 0).sum(axis=1), minlength=5)
    np.testing.assert_allclose(cuts[1:] / 20_000, 0.25, atol=0.015)
    assert cuts[0] == 0


def test_random_mutation_changes_one_gene_to_any_other():
    parents = np.full((26_000, 19), 3)
    mutants = op.RandomMutation((13,) * parents.shape[1]).propose(parents, rng())
    assert ((mutants != parents).sum(axis=1) == 1).all()
    counts = np.bincount(mutants[mutants != 3], minlength=13)
    np.testing.assert_allclose(np.delete(counts, 3) / 26_000, 1 / 12, atol=0.01)
    assert (parents == 3).all()


def test_draw_follows_the_slices():
    drawn = op.draw(rng(), np.tile([0.0, 1.0, 0.0, 3.0], (40_000, 1)))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 40_000, [0, 0.25, 0, 0.75], atol=0.01)


def roulette(objectives=DEFAULT_OBJECTIVES, **settings):
    return op.RouletteMutation((3, 3), objectives=objectives, **settings)


def taught(**settings):
    mutation = roulette(**settings)
    genomes = np.array([[0, 0], [1, 1], [2, 2]])
    values = {"accuracy": np.array([0.5, 0.6, 0.7]), "madds": np.array([1, 2, 3]), "params": np.array([9, 9, 9])}
    mutation.update(genomes, values)
    return mutation


def test_wheels_are_scaled_means():
    accuracy, madds, params = taught().wheels()
    np.testing.assert_allclose(accuracy, [[0.1, 0.6, 1.1]] * 2)
    np.testing.assert_allclose(madds, [[1.1, 0.6, 0.1]] * 2)  # fewer are better
    np.testing.assert_allclose(params, 0.1)  # nothing to tell the choices apart: a uniform wheel


def test_an_unseen_choice_counts_as_average():
    mutation = roulette()
    genomes = np.array([[0, 0], [1, 0]])
    values = {"accuracy": np.array([0.4, 0.8]), "madds": np.ones(2), "params": np.ones(2)}
    mutation.update(genomes, values)
    np.testing.assert_allclose(mutation.wheels()[0], [[0.1, 1.1, 0.6], [0.1, 0.1, 0.1]])


def test_roulette_follows_accuracy_7_times_in_10():
    mutants = taught().propose(np.zeros((60_000, 2), int), rng())
    changed = mutants[mutants != 0]
    assert len(changed) == 60_000
    # From choice 0: P(2) is 1.1/1.7 by accuracy (0.7), 0.1/0.7 by madds (0.2), 1/2 by params (0.1).
    expected = 0.7 * 1.1 / 1.7 + 0.2 * 0.1 / 0.7 + 0.1 * 0.5
    assert (changed == 2).mean() == pytest.approx(expected, abs=0.01)


def test_roulette_can_follow_the_cheap_objectives_alone():
    mutants = taught(accuracy_share=0.0).propose(np.zeros((60_000, 2), int), rng())
    assert (mutants[mutants != 0] == 2).mean() == pytest.approx(2 / 3 * 0.1 / 0.7 + 1 / 3 * 0.5, abs=0.01)


def test_untaught_roulette_is_uniform():
    mutants = roulette().propose(np.ones((30_000, 2), int), rng())
    np.testing.assert_allclose(np.bincount(mutants[mutants != 1]) / 30_000, [0.5, 0, 0.5], atol=0.01)


def test_roulette_state_round_trips():
    twin = roulette()
    twin.restore(json.loads(json.dumps(taught().state())))
    parents = np.zeros((100, 2), int)
    assert (twin.propose(parents, rng(5)) == taught().propose(parents, rng(5))).all()
    with pytest.raises(ValueError, match="expected"):
        op.RouletteMutation((3, 3, 3), objectives=DEFAULT_OBJECTIVES).restore(twin.state())


def test_roulette_without_accuracy_or_without_cheap_objectives():
    madds = Objective(name="madds", direction="min", weight=1.0)
    accuracy = Objective(name="accuracy", direction="max", weight=1.0)
    for only in (madds, accuracy):
        assert roulette((only,)).propose(np.zeros((5, 2), int), rng()).any(axis=1).all()


@pytest.mark.parametrize("setting", [{"accuracy_share": 1.5}, {"floor": 0.0}])
def test_bad_roulette_settings(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        roulette(**setting)


def test_mixture_renormalises_over_what_is_there():
    mixture = op.MutationMixture()
    np.testing.assert_allclose(mixture.probabilities(["random", "reinforced", "roulette"]), [0.2, 0.65, 0.15])
    np.testing.assert_allclose(mixture.probabilities(["random", "roulette"]), [0.2 / 0.35, 0.15 / 0.35])
    with pytest.raises(ValueError, match=r"unknown mutator 'roulete'.*nearest is 'roulette'"):
        mixture.probabilities(["roulete"])
    with pytest.raises(ValueError, match="0 for all"):
        op.MutationMixture(random=0).probabilities(["random"])


@pytest.mark.parametrize("setting", [{"mutation_ratio": 1.1}, {"random": -1}, {"roulette": float("nan")}])
def test_bad_mixtures(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        op.MutationMixture(**setting)


def test_mutation_as_text():
    assert op.parse_mutation("random:0.2,reinforced:0.65,roulette:0.15") == op.MutationMixture()
    assert op.parse_mutation(" roulette:1 ") == op.MutationMixture(random=0.0, reinforced=0.0, roulette=1.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("random:0.2,reinforcd:0.8", "unknown mutator 'reinforcd'.*nearest is 'reinforced'"),
        ("random", "invalid mutation 'random': expected NAME:SHARE"),
        ("", "invalid mutation ''"),
        ("random:some", "share must be a number, got 'some'"),
        ("random:0.5,random:0.5", "'random' is given twice"),
        ("random:0.5,roulette:0.4", "must sum to 1, got 0.9"),
        ("random:-0.5,roulette:1.5", "share of random mutation must be a number >= 0, got -0.5"),
        ("random:nan,roulette:1", "share of random mutation must be a number >= 0, got nan"),
    ],
)
def test_bad_mutation_as_text(text, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        op.parse_mutation(text)
    assert "\n" not in str(caught.value)


def test_mutators_are_told_the_parents_of_each_child():
    class Listener(op.RandomMutation):
        def propose(self, genomes, rng, parents):
            np.testing.assert_array_equal(parents.genomes[:, :, 0], parents.values["accuracy"] * 10)
            assert ((genomes == parents.genomes[:, 0]) | (genomes == parents.genomes[:, 1])).all()
            assert (genomes[:, 0] == parents.genomes[:, 0, 0]).all()  # the mother's genes come first
            self.heard = len(genomes)
            return super().propose(genomes, rng)

    listener = Listener((13,) * 19)
    op.offspring(
        rng(),
        np.repeat(np.arange(10)[:, None], 19, axis=1),
        np.arange(10),
        values={"accuracy": np.arange(10) / 10},
        ranks=np.zeros(10, int),
        crowding=np.ones(10),
        count=200,
        mixture=op.MutationMixture(mutation_ratio=1.0),
        mutators=[listener],
    )
    assert listener.heard == 200


def test_offspring_operators_and_parents():
    genomes = np.repeat(np.arange(10)[:, None], 19, axis=1)
    proposals = op.offspring(
        rng(),
        genomes,
        np.arange(100, 110),
        values={"accuracy": np.arange(10) / 10},
        ranks=np.zeros(10, int),
        crowding=np.ones(10),
        count=20_000,
        mixture=op.MutationMixture(),
        mutators=[op.RandomMutation((13,) * 19), op.RouletteMutation((13,) * 19, objectives=DEFAULT_OBJECTIVES)],
    )
    shares = {name: (proposals.operators == name).mean() for name in ("crossover", "random", "roulette")}
    assert shares == pytest.approx({"crossover": 0.2, "random": 0.8 * 4 / 7, "roulette": 0.8 * 3 / 7}, abs=0.015)
    assert proposals.parents.min() == 100 and proposals.parents.max() == 109
    inherited = (proposals.genomes[:, :, None] == proposals.parents[:, None, :] - 100).any(axis=2)
    assert ((~inherited).sum(axis=1) <= (proposals.operators != "crossover")).all()
