"""Official names and layouts against ours, without PyTorch."""

import dataclasses
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from scarlet_tf import zoo
from scarlet_tf.arch import get_space
from scarlet_tf.convert import StateDictError, from_state_dict, pairs, read_counters, to_state_dict
from scarlet_tf.models import build, get_weights

C = zoo.get_spec("scarlet_c")


@pytest.mark.parametrize("name", ["scarlet_a", "scarlet_c"])
def test_keys_shapes_and_order_are_the_checkpoints(name, official_shapes):
    assert [(pair.key, list(pair.shape)) for pair in pairs(zoo.get_spec(name))] == list(official_shapes[name].items())


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("scarlet_a", 355),
        ("scarlet_b", 333),
        ("scarlet_c", 314),
        ("scarlet_a2", 355),
        pytest.param("scarlet_a4", 688, marks=pytest.mark.slow),
    ],
)
def test_every_network_of_the_zoo_goes_there_and_back_bit_for_bit(name, tensors):
    spec = zoo.get_spec(name)
    weights = get_weights(build(spec, input_shape=(32, 32, 3)))
    back = from_state_dict(spec, to_state_dict(spec, weights))
    assert len(weights) == tensors and set(back) == set(weights)
    for key, array in weights.items():
        assert back[key].shape == array.shape and back[key].tobytes() == array.tobytes(), key


def test_the_official_state_dict_comes_back_bit_for_bit(official):
    counters = {key: number for number, key in enumerate(official) if "num_batches" in key}
    official = official | {key: np.array(number) for key, number in counters.items()}
    assert read_counters(official) == counters
    back = to_state_dict(C, from_state_dict(C, official), counters=read_counters(official))
    assert list(back) == list(official)
    for key, array in official.items():
        assert (back[key].dtype, back[key].shape) == (array.dtype, array.shape), key
        assert back[key].tobytes() == array.tobytes(), key


def test_layouts_element_by_element(official):
    weights = from_state_dict(C, official)
    stem, depthwise = official["stem.0.weight"], official["mb_module.0.conv2.weight"]
    assert weights["stem_conv/kernel"][0, 2, 1, 31] == stem[31, 1, 0, 2]
    assert weights["block00_depthwise_conv/kernel"][2, 1, 40, 0] == depthwise[40, 0, 2, 1]
    assert weights["classifier/kernel"][7, 999] == official["classifier.weight"][999, 7]
    assert (
        weights["block01_se_expand/kernel"][0, 0, 3, 5] == official["mb_module.1.mid_se.excite_conv.weight"][5, 3, 0, 0]
    )
    assert weights["tail_bn/moving_variance"][9] == official["conv_before_pooling.1.running_var"][9]


def test_a_deeper_networks_blocks_are_counted_with_their_copies():
    """A4 has every block of A twice: the copy of block 0 is mb_module.1."""
    shapes = {pair.key: pair.shape for pair in pairs(zoo.get_spec("scarlet_a4"))}
    assert {int(key.split(".")[1]) for key in shapes if key.startswith("mb_module")} == set(range(38))
    assert shapes["mb_module.0.conv1.weight"][1] == 24 and shapes["mb_module.1.conv1.weight"][1] == 48
    assert shapes["mb_module.0.conv2.weight"][2:] == shapes["mb_module.1.conv2.weight"][2:] == (7, 7)


def test_lets_are_refused():
    spec = get_space("small").spec((3, 12, 1, 7, 11, 12), let=True)
    with pytest.raises(StateDictError, match="blocks 1, 5 are linearly equivalent transformations"):
        pairs(spec)


def test_another_network_is_refused_with_what_was_found_beside_what_was_expected(official):
    with pytest.raises(StateDictError) as refused:
        from_state_dict(zoo.get_spec("scarlet_a"), official)
    expected = {pair.key: pair.shape for pair in pairs(zoo.get_spec("scarlet_a"))}
    found = {key: array.shape for key, array in official.items()}
    missing = [key for key in expected if key not in found and "num_batches" not in key]
    unexpected = [key for key in found if key not in expected]
    other = [key for key in expected if key in found and found[key] != expected[key]]
    message = str(refused.value)
    assert message.startswith(
        f"tensors do not fit 'scarlet_a' (found {len(found)} tensors, expected {len(expected)}): {len(other)} "
        f"with another shape: {other[0]} found {found[other[0]]}, expected {expected[other[0]]}; {other[1]} found "
    )
    assert f", {len(missing)} missing: {missing[0]} {expected[missing[0]]}; {missing[1]}" in message
    assert not unexpected or f", {len(unexpected)} unexpected: {unexpected[0]}" in message
    assert "\n" not in message and len(message) < 1000


def test_other_names_are_shown_beside_the_nearest_expected(official):
    renamed = {key.replace("stem.0", "first.conv").replace("classifier", "head.fc"): a for key, a in official.items()}
    with pytest.raises(StateDictError) as refused:
        from_state_dict(C, renamed)
    assert str(refused.value).endswith(
        "(found 366 tensors, expected 366): 3 unexpected: first.conv.weight (32, 3, 3, 3) (nearest missing: "
        "stem.0.weight (32, 3, 3, 3)); head.fc.weight (1000, 1280) (nearest missing: classifier.weight (1000, 1280)); "
        "head.fc.bias (1000,) (nearest missing: classifier.bias (1000,)), 3 missing: stem.0.weight (32, 3, 3, 3); "
        "classifier.weight (1000, 1280); classifier.bias (1000,)"
    )


@pytest.mark.parametrize(
    ("change", "naming"),
    [
        ({"stem.0.weight": None}, r"1 missing: stem\.0\.weight \(32, 3, 3, 3\)$"),
        ({"classifier.scale": np.zeros(3, np.float32)}, r"1 unexpected: classifier\.scale \(3,\)$"),
        ({"classifier.bias": np.zeros(10, np.float32)}, r"classifier.bias found \(10,\), expected \(1000,\)"),
        ({"stem.1.num_batches_tracked": np.zeros(1, np.int64)}, r"num_batches_tracked found \(1,\), expected \(\)"),
        ({"stem.1.weight": np.full(32, np.nan, np.float32)}, "stem.1.weight has values that are not finite"),
        ({"stem.1.weight": np.full(32, np.inf, np.float16)}, "stem.1.weight has values that are not finite"),
        ({"stem.1.weight": np.ones(32, np.int32)}, "stem.1.weight has dtype int32"),
        ({"stem.1.weight": np.full(32, 0.1)}, "stem.1.weight has float64 values that float32 cannot"),
        ({"stem.1.weight": np.full(32, 1e300)}, "stem.1.weight has float64 values that float32 cannot"),
        (
            {"stem.1.running_var": np.arange(32.0) - 1},
            "stem.1.running_var has a variance of -1, expected values >= 0",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, naming, official):
    arrays = {key: array for key, array in (official | change).items() if array is not None}
    with pytest.raises(StateDictError, match=naming):
        from_state_dict(C, arrays)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floats_become_float32_without_loss(dtype, official):
    narrow = official["stem.1.weight"].astype(dtype)
    gamma = from_state_dict(C, official | {"stem.1.weight": narrow})["stem_bn/gamma"]
    assert gamma.dtype == np.float32
    np.testing.assert_array_equal(gamma, narrow.astype(np.float32))


def test_counters_may_be_absent(official):
    without = {key: array for key, array in official.items() if "num_batches" not in key}
    assert len(official) - len(without) == 52
    assert set(from_state_dict(C, without)) == set(from_state_dict(C, official)) and read_counters(without) == {}


def test_our_weights_are_checked_on_the_way_out(official):
    weights = from_state_dict(C, official)
    with pytest.raises(
        StateDictError,
        match=r"1 unexpected: tail_bn/betta .*nearest missing: tail_bn/beta .*, 1 missing: tail_bn/beta ",
    ):
        to_state_dict(C, {key.replace("tail_bn/beta", "tail_bn/betta"): array for key, array in weights.items()})
    with pytest.raises(StateDictError, match=r"classifier/bias found \(1000,\), expected \(10,\)"):
        to_state_dict(dataclasses.replace(C, classes=10), weights)
    with pytest.raises(StateDictError, match="tail_bn/moving_variance has a variance of -2, expected values >= 0"):
        to_state_dict(C, weights | {"tail_bn/moving_variance": np.full(1280, -2.0, np.float32)})


def test_needs_no_framework():
    code = "import sys, scarlet_tf.convert; print(sorted({'tensorflow', 'keras', 'torch', 'h5py'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
