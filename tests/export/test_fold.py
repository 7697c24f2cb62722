"""LET folding: where it is exact, what it reports, and that outputs stay."""

import dataclasses

import numpy as np
import pytest
from rounding import rounding_limit

from scarlet_tf import zoo
from scarlet_tf.arch import ArchSpec, BlockSpec, count, get_space, scale
from scarlet_tf.export import FoldError, fold, fold_dense, fold_model, verify_fold
from scarlet_tf.models import build, get_weights, measure_batch_norms, set_weights

SMALL = get_space("small")
FOUR = dataclasses.replace(SMALL, name="four", out_channels=(8, 8, 24, 32), strides=(2, 1, 2, 1))


def let(inputs, outputs, *, stride=1, kind="let"):
    return BlockSpec(kind=kind, in_channels=inputs, out_channels=outputs, stride=stride)


def residual(inputs, outputs, *, stride=1, shortcut=False):
    return BlockSpec(
        kind="inverted_residual",
        in_channels=inputs,
        out_channels=outputs,
        stride=stride,
        kernel_size=3,
        hidden_channels=2 * inputs,
        shortcut=shortcut,
    )


def network(*blocks):
    sizes = {"resolution": 16, "stem_channels": 8, "tail_channels": 16, "classes": 5}
    return ArchSpec(name="net", blocks=blocks, first_channels=blocks[0].in_channels, **sizes)


CASES = {
    "forward": (
        network(residual(4, 6), let(6, 8), residual(8, 10)),
        ["folded into the expand convolution of slot 2"],
    ),
    "forward at stride 2, the pool stays": (
        network(residual(4, 6, stride=2), let(6, 8, stride=2), residual(8, 10)),
        ["folded into the expand convolution of slot 2"],
    ),
    "forward into a full convolution at stride 2": (
        network(
            residual(4, 6), let(6, 8), dataclasses.replace(residual(8, 10, stride=2), kind="fused_inverted_residual")
        ),
        ["folded into the expand convolution of slot 2"],
    ),
    "backward out of a full convolution": (
        network(
            dataclasses.replace(residual(4, 6), kind="fused_inverted_residual"),
            let(6, 8),
            residual(8, 8, shortcut=True),
        ),
        ["folded into the project convolution of slot 0"],
    ),
    "into the tail": (network(residual(4, 4, shortcut=True), let(4, 8)), ["folded into the tail convolution"]),
    "backward": (
        network(residual(4, 6), let(6, 8), residual(8, 8, shortcut=True)),
        ["folded into the project convolution of slot 0"],
    ),
    "backward into the stem": (
        network(let(4, 8), residual(8, 8, shortcut=True)),
        ["folded into the separable convolution"],
    ),
    "two in a row, then forward": (
        network(residual(4, 6), let(6, 8), let(8, 9), residual(9, 10)),
        ["merged into the LET of slot 2", "folded into the expand convolution of slot 3"],
    ),
    "two in a row, then backward": (
        network(residual(4, 6), let(6, 8), let(8, 9), residual(9, 9, shortcut=True)),
        ["merged into the LET of slot 2", "folded into the project convolution of slot 0"],
    ),
    "three in a row are the whole network": (
        network(let(4, 6), let(6, 5), let(5, 7)),
        ["merged into the LET of slot 1", "merged into the LET of slot 2", "folded into the tail convolution"],
    ),
    "shortcuts on both sides": (
        network(residual(4, 4, shortcut=True), let(4, 8), residual(8, 8, shortcut=True)),
        ["kept: the next block has a shortcut; backward: the previous block has a shortcut"],
    ),
    "its own pool, then a shortcut": (
        network(residual(4, 6), let(6, 8, stride=2), residual(8, 8, shortcut=True)),
        ["kept: the next block has a shortcut; backward: its own max pool comes before it"],
    ),
    "a pool between two": (
        network(residual(4, 4, shortcut=True), let(4, 6), let(6, 8, stride=2), residual(8, 10)),
        [
            "kept: a max pool comes next; backward: the previous block has a shortcut",
            "folded into the expand convolution of slot 3",
        ],
    ),
    "a ReLU after one": (
        network(residual(4, 6), let(6, 8), let(8, 9, kind="let_relu"), let(9, 8), residual(8, 8, shortcut=True)),
        [
            "merged into the LET of slot 2",
            "kept: a ReLU follows it, so it is not linear",
            "kept: the next block has a shortcut; backward: a ReLU lies between",
        ],
    ),
    "a pool between two, backward": (
        network(residual(4, 6), let(6, 7), let(7, 8, stride=2), let(8, 9), residual(9, 9, shortcut=True)),
        [
            "folded into the project convolution of slot 0",
            "merged into the LET of slot 3",
            "kept: the next block has a shortcut; backward: a max pool lies between",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case, random_weights):
    spec, reasons = CASES[case]
    weights = random_weights(spec, 0)
    result = fold(spec, weights)
    assert [slot.reason for slot in result.slots] == reasons
    kept = [slot.slot for slot in result.slots if slot.action == "kept"]
    assert [i for i, block in enumerate(result.spec.blocks) if block.kind in ("let", "let_relu")] == kept
    assert [block.stride for block in result.spec.blocks] == [block.stride for block in spec.blocks]
    assert {array.dtype for array in result.weights.values()} == {np.dtype(np.float32)}
    assert verify_fold(spec, weights, result) <= 1e-5


def test_folded_widths():
    spec, _ = CASES["forward at stride 2, the pool stays"]
    shapes = {name: np.zeros(shape, np.float32) for name, shape in _shapes(spec).items()}
    folded = fold(spec, shapes).spec
    assert folded.blocks[1] == BlockSpec(kind="identity", in_channels=6, out_channels=6, stride=2)
    assert folded.blocks[2] == dataclasses.replace(spec.blocks[2], in_channels=6)
    assert folded.blocks[2].hidden_channels == 16 and not folded.blocks[2].shortcut


def _shapes(spec):
    return {name: array.shape for name, array in get_weights(build(spec)).items()}


def test_scarlet_b_keeps_both_lets(random_weights):
    spec = get_space("scarlet").spec(zoo.get_spec("scarlet_b").genome, let=True)
    weights = random_weights(spec, 1)
    result = fold(spec, weights)
    assert [slot.slot for slot in result.slots] == [8, 16]
    assert all(slot.action == "kept" for slot in result.slots)
    assert all(slot.reason.startswith("kept: the next block has a shortcut") for slot in result.slots)
    assert result.spec == spec
    assert all(np.array_equal(array, weights[name]) for name, array in result.weights.items())


@pytest.mark.slow
def test_scarlet_c_folds_all_three(random_weights):
    """With BN statistics that fit, as training leaves them.

    On wholly random statistics this deep network is ill-conditioned: rounding alone moves its float32 logits by 2.4e-5
    (in float64 the fold is exact to 6e-14).
    """
    spec = get_space("scarlet").spec(zoo.get_spec("scarlet_c").genome, let=True)
    model = build(spec)
    set_weights(model, random_weights(spec, 1))
    measure_batch_norms(model, [np.random.default_rng(0).standard_normal((4, 224, 224, 3)).astype(np.float32)])
    weights = get_weights(model)
    result = fold(spec, weights)
    assert [(slot.slot, slot.action) for slot in result.slots] == [(3, "merged"), (4, "backward"), (15, "backward")]
    assert count(result.spec).madds < count(spec).madds
    assert verify_fold(spec, weights, result) <= 1e-5


def _genome(seed):
    """A genome of four layers in which every second gene is a LET."""
    rng = np.random.default_rng(seed)
    return [12 if rng.random() < 0.5 else int(rng.integers(0, 12)) for _ in range(FOUR.num_layers)]


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 100))])
def test_random_genomes(seed, random_weights):
    spec = FOUR.spec(_genome(seed), let=True)
    weights = random_weights(spec, seed)
    result = fold(spec, weights)
    assert [slot.slot for slot in result.slots] == [i for i, block in enumerate(spec.blocks) if block.kind == "let"]
    assert verify_fold(spec, weights, result) <= 1e-5


def test_a_wrong_fold_is_refused(random_weights):
    spec, _ = CASES["backward"]
    weights = random_weights(spec, 0)
    result = fold(spec, weights)
    name = "block00_project_conv/kernel"
    wrong = dataclasses.replace(result, weights={**result.weights, name: result.weights[name] * np.float32(1.001)})
    with pytest.raises(FoldError, match="changed its output by"):
        verify_fold(spec, weights, wrong)
    broken = dataclasses.replace(result, weights={**result.weights, name: result.weights[name] * np.float32("nan")})
    with pytest.raises(FoldError, match="nan"):
        verify_fold(spec, weights, broken)


def test_another_epsilon(random_weights):
    spec, _ = CASES["backward"]
    weights = random_weights(spec, 0)
    result = fold(spec, weights, epsilon=0.01)
    assert verify_fold(spec, weights, result, epsilon=0.01) <= 1e-5
    with pytest.raises(FoldError):
        verify_fold(spec, weights, result, epsilon=1e-5)


def test_fold_dense():
    rng = np.random.default_rng(0)
    first, second, x = (rng.standard_normal(s).astype(np.float32) for s in [(16, 80), (80, 10), (4, 16)])
    folded = fold_dense(first, second)
    assert folded.shape == (16, 10) and folded.dtype == np.float32
    expected = (x @ first) @ second
    # The folded matrix is rounded, and both products; each of 16 x 80 terms.
    np.testing.assert_allclose(x @ folded, expected, atol=2 * rounding_limit(16 * 80) * np.abs(expected).max())
    with pytest.raises(ValueError, match=r"got \(16, 80\) and \(16, 80\)"):
        fold_dense(first, first)


def test_a_model_that_normalises_pixels_still_does(random_weights):
    spec, _ = CASES["backward"]
    mean, std = [0.1, 0.5, 0.9], [0.2, 0.3, 0.4]
    model = build(spec, mean_and_std=(mean, std))
    set_weights(model, random_weights(spec, 0))
    folded, result = fold_model(model, spec)
    assert any(slot.action != "kept" for slot in result.slots)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *spec.input_shape)).astype(np.float32)
    expected = np.asarray(model(pixels))
    assert np.abs(folded(pixels) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_folded_spec_is_the_same_network_again(random_weights):
    """Folding may give a block as many inputs as outputs, which had no shortcut and gets none."""
    space = dataclasses.replace(get_space("small"), out_channels=(24, 32, 24, 24, 24, 24), strides=(1,) * 6)
    spec = space.spec((0, 12, 0, 0, 0, 0), let=True)
    weights = random_weights(spec, 0)
    result = fold(spec, weights)
    assert any(b.in_channels == b.out_channels and b.stride == 1 and not b.shortcut for b in result.spec.blocks[1:])
    assert scale(result.spec) == result.spec
    image = np.random.default_rng(0).standard_normal((1, *spec.input_shape)).astype(np.float32)
    again, own = zoo.create_model(result.spec), build(result.spec, classifier_activation="softmax")
    for model in (again, own):
        set_weights(model, result.weights)
    np.testing.assert_array_equal(again(image), own(image))
