"""The benchmark of fair steps: its network, the work it counts, and what it measures."""

import json
from pathlib import Path

import pytest
from forked import ForkedProcess

from benchmarks.fair_step.least_work import count_work, reduced_space
from scarlet_tf.arch import SearchSpace, count
from scarlet_tf.supernet import Supernet

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fair_step" / "__main__.py"
TINY = SearchSpace(name="tiny", out_channels=(16, 24, 24), strides=(1, 2, 1), resolution=32, classes=10)


def test_half_width_network_has_the_peers_parameters():
    # 11.919 M: the same network written in PyTorch, sum of numel() of its parameters.
    supernet = Supernet(reduced_space(0.5, 32))
    assert round(sum(variable.shape.num_elements() for variable in supernet.trainable_variables) / 1e6, 3) == 11.919


def test_images_above_64_px_halve_twice_more():
    small, large = reduced_space(0.5, 64), reduced_space(0.5, 128)
    assert (small.stem_stride, small.strides[0]) == (1, 1)
    assert (large.stem_stride, large.strides[0]) == (2, 2)


def test_madds_are_those_of_the_paths_with_one_stem():
    paths = [count(TINY.spec((choice,) * 3, let=True)).madds for choice in range(13)]
    blocks_and_tails = count_work(TINY, 4).madds / (3 * 4)
    one = SearchSpace(name="one", out_channels=(16,), strides=(1,), resolution=32, classes=10)
    side = 32 // one.stem_stride
    let = side * side * one.first_channels * 16
    tail = side * side * 16 * one.tail_channels + one.tail_channels * 10
    stem = count(one.spec((12,), let=True)).madds - let - tail
    assert blocks_and_tails == sum(paths) - 12 * stem


@pytest.mark.slow
def test_script_prints_what_it_measured(one_layer_space, tmp_path):
    (tmp_path / "space.json").write_text(json.dumps(one_layer_space.to_dict()))
    flags = [f"--space={tmp_path}/space.json", "--size=8", "--batch=2", "--threads=1", "--steps=1"]
    output, _ = ForkedProcess([SCRIPT, *flags]).communicate(timeout=300)
    result = json.loads(output)
    assert set(result) == {"step_s", "first_step_s", "peak_rss_gb", "params_m", "madds_g", "moved_gb"}
    assert 0 < result["step_s"] < result["first_step_s"] and result["peak_rss_gb"] > 0.1
