"""Parts of a space's networks against the networks themselves, walked block by block."""

import itertools

import numpy as np
import pytest

from scarlet_tf.arch import SearchSpace, SpecError, choices_from, count, count_genomes, get_space
from scarlet_tf.arch.block import strided
from scarlet_tf.arch.counting import count_stem, count_tail
from scarlet_tf.arch.parts import parts_of, sum_of_parts
from scarlet_tf.image_size import height_and_width

FULL = get_space("scarlet")
OWN = SearchSpace(
    name="own",
    out_channels=(8, 8, 12, 12),
    strides=(2, 1, 1, 2),
    choices=choices_from(
        ["e2 k3", "let"],
        ["e2 k3", "fused_inverted_residual e2.5 k5 se relu6", "identity"],
        ["e3 k7"],
        ["e2 k3 se", "e2 k5", "let"],
    ),
    resolution=(40, 24),
    stem_channels=8,
    stem_stride=1,
    first_channels=8,
    tail_channels=16,
    classes=3,
)


def walk(space, genome):
    """(input size, block) of everything that a network computes between stem and tail."""
    spec = space.spec(genome)
    size, found = strided(height_and_width(spec.resolution), spec.stem_stride), []
    for block in spec.blocks:
        if block.kind != "identity" or block.stride == 2:
            found.append((size, block))
        size = strided(size, block.stride)
    return found, (*size, spec.feature_channels)


def blocks_of(parts):
    return [(part.input_shape[:2], part.block) for part in parts if part.block is not None]


def costs_by_madds(space):
    """The multiply-adds of every part."""
    counts = {}
    for part in parts_of(space):
        if part.kind == "stem":
            counts[part.name] = count_stem(space, part.input_shape[:2]).madds
        elif part.kind == "tail":
            counts[part.name] = count_tail(space, part.input_shape[2], part.input_shape[:2]).madds
        else:
            counts[part.name] = part.madds
    return counts


@pytest.mark.parametrize("space", [OWN, FULL], ids=["own", "full"])
def test_parts_of_a_genome_are_its_networks(space):
    genomes = space.random(np.random.default_rng(0), 50)
    for genome in [*genomes.tolist(), [0] * space.num_layers, [n - 1 for n in space.num_choices]]:
        expected, tail = walk(space, genome)
        parts = parts_of(space).of(genome)
        assert blocks_of(parts) == expected
        assert (parts[0].kind, parts[-1].kind, parts[-1].input_shape) == ("stem", "tail", tail)


def test_an_own_spaces_parts_are_those_of_all_its_networks():
    genomes = list(itertools.product(*map(range, OWN.num_choices)))
    expected, tails = set(), set()
    for genome in genomes:
        blocks, tail = walk(OWN, genome)
        expected |= set(blocks)
        tails.add(tail)
    parts = list(parts_of(OWN))
    found = blocks_of(parts)
    assert len(found) == len(set(found)) and set(found) == expected
    assert {part.input_shape for part in parts if part.kind == "tail"} == tails
    assert len({part.name for part in parts}) == len(parts)


def test_the_full_spaces_contexts():
    """Counted by the widths that reach a layer: all layers can be skipped, so any earlier width can."""
    widths, size, every, regular, pools = [FULL.first_channels], 112, set(), set(), set()
    for out, stride in zip(FULL.out_channels, FULL.strides, strict=True):
        for width in set(widths):
            genes = {(size, width, out, stride, gene) for gene in range(12)}
            every |= genes
            regular |= genes if width == widths[-1] else set()
            pools |= {(size, width)} if stride == 2 else set()
        widths.append(out)
        size = -(-size // stride)
    parts = parts_of(FULL)
    assert (len(every), len(regular), len(pools), len(set(widths))) == (444, 132, 11, 7)
    assert len(list(parts)) == 1 + 444 + 11 + 7
    assert len(parts.estimates) == (444 - 132) * 3 // 4  # one of four choices with each kernel size is measured


def test_estimates_are_by_the_same_layer_and_measured_parts():
    for space in (OWN, FULL):
        estimates = parts_of(space).estimates
        for part, (same_choice, same_input, neither) in estimates.items():
            assert not {same_choice, same_input, neither} & estimates.keys()
            assert part.input_shape == same_input.input_shape != same_choice.input_shape == neither.input_shape
            for one, other in ((part, same_choice), (same_input, neither)):
                same = ("kind", "out_channels", "stride", "kernel_size", "activation", "has_se")
                assert all(getattr(one.block, name) == getattr(other.block, name) for name in same)
            assert part.block.kernel_size == same_input.block.kernel_size and part.block.kind == same_input.block.kind
            if not part.block.has_se:  # all convolutions have as many times the multiply-adds
                assert part.madds * neither.madds == same_choice.madds * same_input.madds


def test_a_layer_that_is_always_skipped():
    space = SearchSpace(
        name="skipped",
        out_channels=(8, 8),
        strides=(1, 1),
        choices=choices_from(["identity"], ["e2 k3", "let"]),
        resolution=8,
        first_channels=4,
    )
    assert [part.kind for part in parts_of(space)] == ["stem", "block", "tail", "tail"]
    assert not parts_of(space).estimates


@pytest.mark.parametrize("space", [OWN, FULL], ids=["own", "full"])
def test_sums_are_those_of_the_parts(space):
    rng = np.random.default_rng(1)
    costs = {part.name: rng.random() for part in parts_of(space)}
    genomes = space.random(rng, 70)
    total = sum_of_parts(space, costs)
    expected = [sum(costs[part.name] for part in parts_of(space).of(genome)) for genome in genomes]
    np.testing.assert_allclose(total(genomes), expected, rtol=1e-14)
    # To the bit, however many genomes there are: a resumed search compares with what it stored.
    np.testing.assert_array_equal([total(genomes[i : i + 1])[0] for i in range(70)], total(genomes))


def test_multiply_adds_as_costs_are_the_counters():
    for space in (OWN, FULL):
        genomes = space.random(np.random.default_rng(2), 40)
        found = sum_of_parts(space, costs_by_madds(space))(genomes)
        np.testing.assert_array_equal(found, count_genomes(space, genomes)[0])
        assert found[0] == count(space.spec(genomes[0])).madds


def test_what_is_refused():
    with pytest.raises(SpecError, match=r"gene 0 must be an integer in 0\.\.1, got 2"):
        parts_of(OWN).of((2, 0, 0, 0))
    with pytest.raises(KeyError, match="40x24x8"):
        sum_of_parts(OWN, {})
    assert np.isnan(sum_of_parts(OWN, costs_by_madds(OWN))(np.array([[2, 0, 0, 0]]))).all()  # which a search refuses
