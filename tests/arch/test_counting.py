"""Counts of multiply-adds and parameters: the paper's networks to the last digit, and arrays of genomes."""

import math
import time

import numpy as np
import pytest

from scarlet_tf.arch import SearchSpace, choices_from, count, count_genomes, get_space, scale

SCARLET = get_space("scarlet")
A = (4, 8, 2, 5, 7, 3, 7, 0, 5, 4, 2, 5, 0, 5, 7, 9, 1, 7, 11)
B = (1, 3, 1, 11, 0, 2, 11, 1, 12, 2, 1, 1, 11, 1, 9, 9, 12, 11, 9)
C = (3, 1, 3, 12, 12, 0, 11, 1, 1, 2, 5, 4, 1, 5, 1, 12, 7, 11, 9)

# genome, scaling, MAdds in millions (two digits), params in millions (three digits)
TABLE = {
    "A": (A, {}, "365.31", "6.708"),
    "B": (B, {}, "326.85", "6.532"),
    "C": (C, {}, "280.08", "6.074"),
    "A2": (A, {"width": 1.4, "resolution": 260}, "1047.56", "12.507"),
    "A4": (A, {"width": 1.4, "depth": 2.0, "resolution": 380}, "4183.71", "27.862"),
    "all identity": ((12,) * 19, {}, "23.16", "1.306"),
    "all K7E6": ((10,) * 19, {}, "557.41", "5.090"),
}


@pytest.mark.parametrize("model", TABLE)
def test_published_networks(model):
    genome, scaling, madds, params = TABLE[model]
    counts = count(scale(SCARLET.spec(genome), **scaling))
    assert (f"{counts.madds / 1e6:.2f}", f"{counts.params / 1e6:.3f}") == (madds, params)


def test_smaller_than_published():
    """By hand: at width 0.5 A's stem has 16 channels; at depth 0.5 its stages of 2, 4, 4, 4, 4, 1 blocks keep half."""
    spec = SCARLET.spec(A)
    half = scale(spec, width=0.5)
    assert (half.stem_channels, half.first_channels, half.tail_channels) == (16, 8, 640)
    widths = [16] * 2 + [24] * 4 + [40] * 4 + [48] * 4 + [96] * 4 + [160]
    assert [block.out_channels for block in half.blocks] == widths
    assert 0.2 < count(half).madds / count(spec).madds < 0.35
    shallow = scale(spec, depth=0.5)
    kept = (0, 2, 3, 6, 7, 10, 11, 14, 15, 18)
    assert [block.out_channels for block in shallow.blocks] == [spec.blocks[i].out_channels for i in kept]
    assert [block.kernel_size for block in shallow.blocks] == [spec.blocks[i].kernel_size for i in kept]
    assert sum(block.stride == 2 for block in shallow.blocks) == 4


@pytest.mark.parametrize(
    "model", ["A", "B", "C", pytest.param("A2", marks=pytest.mark.slow), pytest.param("A4", marks=pytest.mark.slow)]
)
def test_params_are_the_built_models_trainable_weights(model):
    from scarlet_tf.models import build

    genome, scaling, _, params = TABLE[model]
    spec = scale(SCARLET.spec(genome), **scaling)
    trainable = sum(int(np.prod(weight.shape)) for weight in build(spec).trainable_weights)
    assert trainable == count(spec).params
    assert f"{trainable / 1e6:.3f}" == params


TINY = SearchSpace(
    name="tiny", out_channels=(16, 24), strides=(1, 2), resolution=32, first_channels=8, tail_channels=128, classes=10
)


def test_one_block_by_hand():
    """8 -> 16 channels at stride 1 on a 16x16 map, expansion 3, 5x5, with SE: the numbers written out."""
    with_block, without = count(TINY.spec((3, 12))), count(TINY.spec((12, 12)))
    inputs, hidden, outputs, se = 8, 24, 16, 6
    madds = 256 * inputs * hidden + 256 * 25 * hidden + 2 * hidden * se + 256 * hidden * outputs
    params = inputs * hidden + 25 * hidden + hidden * outputs + 2 * (hidden + hidden + outputs)
    params += 2 * hidden * se + se + hidden
    tail = (outputs - inputs) * 128  # the wider map reaches the tail, 8x8
    assert with_block.madds - without.madds == madds + 64 * tail
    assert with_block.params - without.params == params + tail


def test_other_choices_count_as_the_layers_that_keras_makes():
    """Kinds, kernels and activations that the paper's space lacks, at both strides and odd sizes."""
    from scarlet_tf.models import build

    choices = choices_from(["fused_inverted_residual e2 k5 se", "e1.5 k9 relu6", "fused_inverted_residual e3 k3"])
    sizes = {"resolution": (30, 18), "first_channels": 8, "tail_channels": 32, "classes": 10}
    space = SearchSpace(name="other", out_channels=(8, 16, 16), strides=(1, 2, 1), choices=choices, **sizes)
    for genome in ((0, 0, 1), (1, 1, 0), (2, 2, 2)):
        spec = space.spec(genome)
        model, madds = build(spec), 0
        for layer in model.layers:
            kernel = math.prod(layer.kernel.shape) if hasattr(layer, "kernel") else 0
            places = math.prod(layer.output.shape[1:3]) if len(layer.output.shape) == 4 else 1
            madds += kernel * places
        assert count(spec).madds == madds
        assert count(spec).params == sum(math.prod(weight.shape) for weight in model.trainable_weights)


def test_let_counts_as_a_1x1_convolution_after_its_pool():
    let, plain = count(TINY.spec((0, 12), let=True)), count(TINY.spec((0, 12)))
    tail = (24 - 16) * 128  # 24 channels reach it, not 16
    assert let.madds - plain.madds == 64 * 16 * 24 + 64 * tail
    assert let.params - plain.params == 16 * 24 + tail


@pytest.mark.parametrize("name", ["scarlet", "small"])
def test_arrays_equal_single_counts(name):
    space, rng = get_space(name), np.random.default_rng(0)
    genomes = space.random(rng, 60)
    genomes[20:40][rng.random((20, space.num_layers)) < 0.5] = space.identities[0]
    genomes[40] = space.identities[0]
    madds, params = count_genomes(space, genomes)
    expected = [count(space.spec(genome)) for genome in genomes]
    assert madds.dtype == params.dtype == np.int64
    np.testing.assert_array_equal(madds, [counts.madds for counts in expected])
    np.testing.assert_array_equal(params, [counts.params for counts in expected])


def test_arrays_at_another_resolution():
    genomes = SCARLET.random(np.random.default_rng(1), 5)
    madds, _ = count_genomes(SCARLET, genomes, resolution=225)
    assert madds.tolist() == [count(SCARLET.spec(genome), resolution=225).madds for genome in genomes]


def test_arrays_are_fast():
    """At least 20 times as fast as counting one model after the other, in seconds of this process's CPU."""
    genomes = SCARLET.random(np.random.default_rng(2), 20_000)
    count_genomes(SCARLET, genomes[:1])  # makes the tables

    def seconds(function):
        times = []
        for _ in range(3):
            start = time.process_time()
            function()
            times.append(time.process_time() - start)
        return min(times)

    alone = seconds(lambda: [count(SCARLET.spec(genome)) for genome in genomes[:20]]) / 20
    assert seconds(lambda: count_genomes(SCARLET, genomes)) / len(genomes) < alone / 20


def test_empty_array():
    madds, params = count_genomes(SCARLET, np.zeros((0, 19), int))
    assert madds.shape == params.shape == (0,)


@pytest.mark.parametrize(
    ("genomes", "message"),
    [
        (np.zeros((2, 18), int), r"shape \(n, 19\), got \(2, 18\)"),
        (np.zeros(19, int), r"shape \(n, 19\)"),
        (np.zeros((2, 19)), "must be integers, got float64"),
        (np.full((1, 19), 13), "genes of layer 0 must be in 0..12, got 13"),
        (np.full((1, 19), -1), "genes of layer 0 must be in 0..12, got -1"),
    ],
)
def test_bad_arrays(genomes, message):
    with pytest.raises(ValueError, match=message):
        count_genomes(SCARLET, genomes)
