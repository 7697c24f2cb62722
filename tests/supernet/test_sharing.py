"""The division of path evaluation among replicas, against brute force; blocks that are computed, against the plan."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scarlet_tf.arch import SearchSpace, count, get_space
from scarlet_tf.supernet import PathEvaluator
from scarlet_tf.supernet.sharing import (
    EvaluationImages,
    PathCosts,
    Share,
    SortedGenomes,
    block_counts,
    multiply_adds,
    plan,
)


def prefixes(genomes) -> set[tuple[int, ...]]:
    return {tuple(genome[:length]) for genome in genomes for length in range(1, len(genome) + 1)}


def work_by_prefixes(genomes, costs: PathCosts) -> int:
    """The work of a set of genomes by definition."""
    blocks = sum(costs.blocks[len(prefix) - 1][prefix[-1]] for prefix in prefixes(genomes))
    return (costs.stem + blocks + costs.tail * len(genomes)) * bool(len(genomes))


@st.composite
def problems(draw, *, most: int):
    """Genomes (n, 4) of 3 choices a layer, many with common prefixes, and costs."""
    numbers = st.integers(0, 20)
    blocks = tuple(tuple(draw(numbers) for _ in range(3)) for _ in range(4))
    genome = st.tuples(*[st.integers(0, 2)] * 4)
    genomes = draw(st.lists(genome, min_size=1, max_size=most))
    return np.array(genomes), PathCosts(stem=draw(numbers), blocks=blocks, tail=draw(numbers))


@given(problems(most=30))
def test_work_is_that_of_the_distinct_prefixes(problem):
    genomes, costs = problem
    assert SortedGenomes(genomes, costs).work() == work_by_prefixes(genomes.tolist(), costs)


@given(problems(most=30), st.integers(1, 8))
def test_every_genome_is_in_one_run_of_the_sorted_genomes(problem, parts):
    genomes, costs = problem
    runs = SortedGenomes(genomes, costs).divide(parts)
    assert len(runs) == parts
    rows = np.concatenate(runs)
    assert sorted(rows.tolist()) == list(range(len(genomes)))
    assert genomes[rows].tolist() == sorted(genomes.tolist())


@given(problems(most=9), st.integers(1, 5))
def test_no_other_runs_have_a_smaller_largest_work(problem, parts):
    genomes, costs = problem
    ordered = sorted(genomes.tolist())
    best = min(
        max(work_by_prefixes(ordered[a:b], costs) for a, b in itertools.pairwise((0, *cuts, len(ordered))))
        for cuts in itertools.combinations_with_replacement(range(len(ordered) + 1), parts - 1)
    )
    runs = SortedGenomes(genomes, costs).divide(parts)
    assert max(work_by_prefixes(genomes[rows].tolist(), costs) for rows in runs) == best


@given(problems(most=12), st.integers(1, 12), st.integers(1, 7), st.integers(0, 5))
def test_every_replica_has_a_share_and_every_genome_sees_every_batch_once(problem, replicas, batches, calibration):
    genomes, costs = problem
    images = EvaluationImages(batches=(10,) * (batches - 1) + (3,), calibration=calibration)
    shares = plan(genomes, replicas, costs=costs, images=images)
    seen = np.zeros((len(genomes), batches), int)
    for rows, (first, step) in shares:
        seen[rows, first::step] += 1
    assert len(shares) == replicas and (seen == 1).all()
    largest = max(share.work(genomes, costs=costs, images=images) for share in shares)
    for shards in range(1, batches + 1):  # no other grid has less
        if replicas % shards == 0:
            runs = SortedGenomes(genomes, costs).divide(replicas // shards)
            slowest = max(work_by_prefixes(genomes[rows].tolist(), costs) for rows in runs)
            assert largest <= slowest * (calibration + max(sum(images.batches[k::shards]) for k in range(shards)))


def test_moving_statistics_shard_images_only_and_costly_recalibration_genomes_only():
    space = get_space("small")
    genomes, costs = space.random(np.random.default_rng(0), 70), multiply_adds(space)

    def shards(replicas, batches, calibration):
        images = EvaluationImages(batches=(1000,) * batches, calibration=calibration)
        return plan(genomes, replicas, costs=costs, images=images)[0].shard[1]

    assert shards(4, 4, 0) == 4  # nothing is repeated
    assert shards(4, 3, 0) == 1  # fewer batches than replicas; on two shards, one would have two of the three
    assert shards(4, 4, 50_000) == 1
    assert shards(16, 48, 256) == 8  # two runs of genomes


@pytest.mark.parametrize("name", ["small", "scarlet"])
def test_costs_of_a_path_are_those_of_its_network(name):
    space = get_space(name)
    for genome in space.random(np.random.default_rng(0), 3):
        madds = SortedGenomes(genome[None], multiply_adds(space)).work()
        assert madds == count(space.spec(genome, let=True)).madds
        assert SortedGenomes(genome[None], block_counts(space)).work() == space.num_layers


@pytest.mark.parametrize("bn", ["moving", "recalibrated"])
def test_as_many_blocks_are_computed_as_planned(bn, supernet, tiny_space: SearchSpace, images):
    genomes = tiny_space.random(np.random.default_rng(2), 12)
    evaluation = EvaluationImages(batches=(3, 3, 2), calibration=5 if bn == "recalibrated" else 0)
    costs, whole = block_counts(tiny_space), 0
    for share in plan(genomes, 6, costs=multiply_adds(tiny_space), images=evaluation):
        paths = PathEvaluator(supernet, bn=bn, calibration=images[:5], chunk=3)
        mine = [images[3 * k : 3 * k + 3] for k in range(3)][share.shard[0] :: share.shard[1]]
        if share.rows.size:
            paths.correct_answers(genomes[share.rows], ((batch, np.zeros(len(batch), int)) for batch in mine))
        assert paths.blocks == share.work(genomes, costs=costs, images=evaluation)
        whole += paths.blocks
    alone = PathEvaluator(supernet, bn=bn, calibration=images[:5], chunk=3)
    alone.accuracies(genomes, images, np.zeros(8, int))
    everything = Share(np.arange(12), (0, 1)).work(genomes, costs=costs, images=evaluation)
    assert alone.blocks == everything == len(prefixes(genomes.tolist())) * (8 + evaluation.calibration)
    assert whole >= alone.blocks
