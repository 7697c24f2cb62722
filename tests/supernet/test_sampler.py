import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scarlet_tf.supernet.sampler import fair_paths, routes


@given(seed=st.integers(0, 2**31), step=st.integers(0, 10**6), layers=st.integers(1, 19), choices=st.integers(1, 13))
def test_every_choice_of_every_layer_is_in_exactly_one_path(seed, step, layers, choices):
    paths = fair_paths(seed, step, num_choices=(choices,) * layers)
    assert paths.shape == (choices, layers)
    np.testing.assert_array_equal(np.sort(paths, axis=0), np.tile(np.arange(choices)[:, None], layers))


@given(
    seed=st.integers(0, 2**31), first=st.integers(0, 10**6), counts=st.lists(st.integers(1, 9), min_size=1, max_size=6)
)
def test_choices_of_uneven_layers_are_used_equally_often_over_a_round(seed, first, counts):
    most = max(counts)
    for layer, count in enumerate(counts):
        more = most % count
        length = count // np.gcd(count, more)  # steps of a round
        start = first // length * length
        uses = []
        for step in range(start, start + length):
            paths = fair_paths(seed, step, num_choices=counts)
            assert paths.shape == (most, len(counts))
            uses.append(np.bincount(paths[:, layer], minlength=count))
            assert np.ptp(uses[-1]) <= 1 and len(uses[-1]) == count
        np.testing.assert_array_equal(np.sum(uses, axis=0), most * length / count)


@given(seed=st.integers(0, 2**31), counts=st.lists(st.integers(1, 13), min_size=1, max_size=19))
def test_routes_lead_along_the_paths(seed, counts):
    """Followed back from every path's end, the runs are of the path's genes, and no two paths share one."""
    paths = fair_paths(seed, 0, num_choices=counts)
    *layers, ends = routes(paths, num_choices=counts)
    most = len(paths)
    runs = ends.copy()
    for layer in reversed(range(len(counts))):
        each = -(-most // counts[layer])
        assert len(layers[layer]) == each * counts[layer]
        np.testing.assert_array_equal(runs // each, paths[:, layer])
        assert len(set(runs)) == most
        runs = layers[layer][runs]
    np.testing.assert_array_equal(runs, np.arange(most))


def test_layers_are_drawn_independently_and_steps_differ():
    paths = np.stack([fair_paths(0, step, num_choices=(13, 13)) for step in range(2000)])
    together = (paths[:, :, 0] == paths[:, :, 1]).mean()
    assert abs(together - 1 / 13) < 0.005
    assert len({p.tobytes() for p in paths}) == 2000
    # Uniform: path 0 takes each choice equally often (chi-squared of 12 degrees of freedom, 0.1 % level).
    counts = np.bincount(paths[:, 0, 0], minlength=13)
    assert ((counts - 2000 / 13) ** 2 / (2000 / 13)).sum() < 32.9


@pytest.mark.parametrize(("seed", "step", "first"), [(0, 0, [10, 10, 6]), (7, 1234, [7, 12, 8])])
def test_paths_of_a_seed_are_those_of_earlier_versions(seed, step, first):
    """So that a run which an earlier version began goes on with the same paths."""
    rng = np.random.default_rng((seed, step))
    expected = np.stack([rng.permutation(13) for _ in range(3)], axis=1)
    paths = fair_paths(seed, step, num_choices=(13, 13, 13))
    np.testing.assert_array_equal(paths, expected)
    assert paths[0].tolist() == first
