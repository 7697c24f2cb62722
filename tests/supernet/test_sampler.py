import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scarlet_tf.supernet.sampler import fair_paths, routes


@given(seed=st.integers(0, 2**31), step=st.integers(0, 10**6), layers=st.integers(1, 19))
def test_every_choice_of_every_layer_is_in_exactly_one_path(seed, step, layers):
    paths = fair_paths(seed, step, num_layers=layers, num_choices=13)
    assert paths.shape == (13, layers)
    np.testing.assert_array_equal(np.sort(paths, axis=0), np.tile(np.arange(13)[:, None], layers))


@given(seed=st.integers(0, 2**31), layers=st.integers(1, 19))
def test_routes_lead_along_the_paths(seed, layers):
    paths = fair_paths(seed, 0, num_layers=layers, num_choices=13)
    route = routes(paths)
    for path in paths:
        for layer in range(layers - 1, 0, -1):
            assert route[layer, path[layer]] == path[layer - 1]
        np.testing.assert_array_equal(paths[route[0, path[0]]], path)


def test_layers_are_drawn_independently_and_steps_differ():
    paths = np.stack([fair_paths(0, step, num_layers=2, num_choices=13) for step in range(2000)])
    together = (paths[:, :, 0] == paths[:, :, 1]).mean()
    assert abs(together - 1 / 13) < 0.005
    assert len({p.tobytes() for p in paths}) == 2000
    # Uniform: path 0 takes each choice equally often (chi-squared of 12 degrees of freedom, 0.1 % level).
    counts = np.bincount(paths[:, 0, 0], minlength=13)
    assert ((counts - 2000 / 13) ** 2 / (2000 / 13)).sum() < 32.9
