"""Parts of a batch, limits of gradients, 16-bit steps and compiled steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from rounding import rounding_limit
from sixteen_bits import needs_sixteen_bits

from scarlet_tf.compression.config import CompressionError, compression_config
from scarlet_tf.kernels.norm import activate
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.runs import loss_scale
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.training import fused
from scarlet_tf.training.config import TrainConfigError, train_config
from scarlet_tf.training.step import TrainState

BATCH = 64
PLAIN = {"batch_size": BATCH, "reference_batch": BATCH, "ema": 0.0, "warmup_epochs": 0.0, "schedule": "exponential"}


@pytest.fixture
def make(runs):
    def made(*, jit_compile=False, steps_per_call=1, spec=None, **overrides):
        config = train_config("small", **(PLAIN | {"momentum": 0.0, "learning_rate": 1.0} | overrides))
        return TrainState(
            *(spec or runs.tiny_spec(), config),
            strategy=make_strategy("one_device"),
            image_shape=(16, 16),
            steps_per_epoch=10,
            total_steps=20,
            steps_per_call=steps_per_call,
            jit_compile=jit_compile,
        )

    return made


def batch():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((BATCH, 16, 16, 3), np.float32)
    return tf.constant(images), tf.constant(rng.integers(0, 3, BATCH), tf.int32)


def step_of(state):
    """Return the change of every weight, and the scalars, of step 0."""
    before = get_weights(state.model)
    scalars = {name: float(value) for name, value in state.take_steps(0, [batch()]).items()}
    after = get_weights(state.model)
    return {name: after[name] - before[name] for name in before}, scalars


def distance(first, second):
    """Return the length of the difference of two updates by that of the second."""
    both = [np.concatenate([update[name].ravel() for name in sorted(second)]) for update in (first, second)]
    return float(np.linalg.norm(both[0] - both[1]) / np.linalg.norm(both[1]))


@pytest.fixture
def without_norms(monkeypatch):
    """Batch normalisation by given statistics: 0 and 1."""

    def scale_and_shift(x, gamma, beta, *, activation, epsilon):
        statistics = tf.stack([tf.zeros(x.shape[-1]), tf.ones(x.shape[-1])])
        return activate(x * gamma + beta, activation), statistics

    monkeypatch.setattr(fused, "batch_norm", scale_and_shift)


def test_four_parts_are_the_whole_batch(make, without_norms):
    whole, scalars = step_of(make())
    parts, of_parts = step_of(make(accumulate=4))
    assert np.linalg.norm(whole["classifier/kernel"]) > 0.01
    assert distance(parts, whole) < 1e-5
    assert of_parts == pytest.approx(scalars, rel=1e-5)


def test_parts_have_their_own_statistics(make):
    """Moving statistics move once for every part, so that four parts of one batch move them further."""
    whole, _ = step_of(make())
    parts, _ = step_of(make(accumulate=4))
    assert distance(parts, whole) > 1e-3
    name = "stem_bn/moving_mean"
    moved = [np.abs(update[name]).mean() for update in (parts, whole)]
    assert 3 < moved[0] / moved[1] < 4  # 1 - 0.99^4 against 1 - 0.99, of much the same means


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_long_gradient_is_shortened(make, accumulate):
    free, _ = step_of(make(accumulate=accumulate, l2=0.0))
    trained = [name for name in free if "moving" not in name]
    length = np.sqrt(sum(np.square(free[name]).sum() for name in trained))
    for limit in (length / 3, length * 3):
        update, _ = step_of(make(accumulate=accumulate, l2=0.0, clip_norm=float(limit)))
        for name in trained:
            np.testing.assert_allclose(update[name], free[name] * min(1, limit / length), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_replicas_limit_the_gradient_of_the_global_batch(start, tmp_path, runs):
    """Two mirrored replicas and one device, one step."""
    devices = {"strategy": "mirrored", "devices": ["CPU:0", "CPU:1"], "logical_cpus": 2}
    settings = {"epochs": 0.25, "clip_norm": 0.05, "dropout": 0.0, "ema": 0.0}
    for name, more in (("one", {}), ("two", devices)):
        process = start(name, **settings, **more)
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors[-2000:]
    one, two = (runs.saved_weights(tmp_path / name) for name in ("one", "two"))
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], atol=1e-4, err_msg=name)


@needs_sixteen_bits
def test_sixteen_bits_against_float64(make, runs):
    """The loss of a step, which takes some 30 sums of up to 200 products and as many roundings of maps."""
    names = ("float32", "mixed_bfloat16", "mixed_float16")
    states = {name: make(precision=name, dropout=0.0, l2=0.0) for name in names}
    weights = get_weights(states["float32"].model)
    losses = {name: step_of(state)[1]["loss"] for name, state in states.items()}
    for state in states.values():
        assert {array.dtype for array in get_weights(state.model).values()} == {np.dtype(np.float32)}
    keras.config.set_floatx("float64")
    try:
        model = build(runs.tiny_spec(), classifier_activation=None)
        set_weights(model, weights)
        model.get_layer("dropout").rate = 0.0
        images, labels = batch()
        logits = model(tf.cast(images, tf.float64), training=True)
    finally:
        keras.config.set_floatx("float32")
    smoothing = states["float32"].config.label_smoothing
    targets = tf.one_hot(labels, 3, dtype=tf.float64) * (1 - smoothing) + smoothing / 3
    exact = float(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits)))
    for name, dtype in zip(names, ("float32", "bfloat16", "float16"), strict=True):
        assert abs(losses[name] / exact - 1) < rounding_limit(27, 9, 8, 8, 9, 24, 24, 6, 8, 16, 16, 3, 30, dtype=dtype)
    assert len(set(losses.values())) == 3


@needs_sixteen_bits
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_a_float16_step_that_overflows_is_skipped(make, monkeypatch, optimizer):
    """Scales of 2^126, where gradients of float32 overflow too, then of 2^8, at which none does."""
    monkeypatch.setattr(loss_scale, "FIRST_SCALE", 2.0**126)
    state = make(precision="mixed_float16", optimizer=optimizer, momentum=0.9, accumulate=2, clip_norm=1.0)
    before = state.arrays()
    scalars = state.take_steps(0, [batch()])
    after = state.arrays()
    kept = {name for name in before if name.startswith(("model/", "optimizer/")) and "moving" not in name}
    (counter,) = {name for name in kept if not np.array_equal(after[name], before[name])}
    assert (before[counter], after[counter]) == (0, 1)  # of steps, which the schedule follows
    assert (after["loss_scale"], after["loss_scale_steady"]) == (2.0**125, 0)
    assert np.isfinite(float(scalars["loss"]))
    again = make(precision="mixed_float16", optimizer=optimizer, momentum=0.9, accumulate=2, clip_norm=1.0)
    again.load_arrays(after | {"loss_scale": np.float32(2.0**8)})
    again.take_steps(1, [batch()])
    updated = again.arrays()
    assert (updated["loss_scale"], updated["loss_scale_steady"]) == (2.0**8, 1)
    assert all(np.isfinite(array).all() for array in updated.values())
    assert not np.array_equal(updated["model/classifier/kernel"], before["model/classifier/kernel"])


@needs_sixteen_bits
def test_statistics_outlive_an_overflow(make):
    """Kernels of 3e4 make infinite feature maps in float16; the weights are kept, and so are the moving statistics."""
    state = make(precision="mixed_float16", momentum=0.9)
    huge = {
        name: np.full_like(array, 3e4) if "kernel" in name and name.startswith("model/") else array
        for name, array in state.arrays().items()
    }
    state.load_arrays(huge)
    scalars = state.take_steps(0, [batch()])
    assert not np.isfinite(float(scalars["loss"]))
    after = state.arrays()
    for name, array in huge.items():
        assert np.isfinite(after[name]).all(), name
        if name.startswith("model/") and "moving" not in name:
            np.testing.assert_array_equal(after[name], array)


@needs_sixteen_bits
def test_the_scale_of_the_loss_does_not_change_the_update(make, monkeypatch):
    """Scales are powers of two: where nothing underflows, updates differ by roundings of subnormal numbers alone."""
    updates = []
    for scale in (2.0**4, 2.0**8):
        monkeypatch.setattr(loss_scale, "FIRST_SCALE", scale)
        updates.append(step_of(make(precision="mixed_float16", dropout=0.0))[0])
    whole, _ = step_of(make(dropout=0.0))
    assert distance(updates[0], updates[1]) < rounding_limit(1, dtype="float16")
    assert distance(updates[1], whole) < rounding_limit(27, 9, 8, 8, 9, 24, 24, 6, 8, 16, 16, 3, 60, dtype="float16")


@pytest.mark.parametrize(
    "how",
    [
        {"frozen_epochs": 0.2},
        *(
            pytest.param(how, marks=pytest.mark.slow)
            for how in ({}, {"precision": "mixed_float16"}, {"jit_compile": True})
        ),
    ],
)
def test_steps_in_one_call_are_the_same_steps(make, how):
    """Five steps: one at a time, and three and two in a call. Two frozen steps end within the first call."""
    rng = np.random.default_rng(1)
    batches = [(batch()[0] * rng.uniform(0.5, 2), batch()[1]) for _ in range(5)]
    ends = []
    for most in (1, 3):
        state = make(steps_per_call=most, momentum=0.9, ema=0.9, dropout=0.3, learning_rate=0.1, **how)
        for first in range(0, 5, most):
            scalars = state.take_steps(first, batches[first : first + most])
        ends.append(state.arrays() | {name: value.numpy() for name, value in scalars.items()})
    for name, array in ends[0].items():
        np.testing.assert_array_equal(ends[1][name], array, err_msg=name)


def test_a_compiled_step_is_the_same(make):
    plain, scalars = step_of(make())
    compiled, of_compiled = step_of(make(jit_compile=True))
    assert distance(compiled, plain) < 1e-4
    assert of_compiled == pytest.approx(scalars, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "float16"}, "unknown precision 'float16': .* nearest is 'mixed_float16'"),
        ({"accumulate": 0}, "accumulate must be an integer >= 1, got 0"),
        ({"clip_norm": -1.0}, "clip_norm must be a number >= 0, got -1.0"),
    ],
)
def test_settings_out_of_range(changes, message):
    with pytest.raises(TrainConfigError, match=message):
        train_config("small", **changes)


def test_parts_that_are_not_equal(runs, pictures, tmp_path):
    with pytest.raises(TrainConfigError, match=r"accumulate must divide a replica's batch .* got 5 for 12 images"):
        runs.tiny_run(pictures, tmp_path / "run", accumulate=5)


@pytest.mark.parametrize(("name", "value"), [("precision", "mixed_bfloat16"), ("accumulate", 2), ("clip_norm", 1.0)])
def test_compression_has_its_own_step(name, value):
    with pytest.raises(CompressionError, match=f"{name} must be .* in compression, got {value!r}"):
        compression_config("small", qat=True, **{name: value})
