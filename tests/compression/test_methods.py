"""The methods on their own: what wrapping, training and stripping leave unchanged, and what they refuse."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from rounding import network_limit

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.compression import CompressionError, compress, compression_config, convert_qat, open_source
from scarlet_tf.compression.clustering import ClusteredModel, absorb_norms
from scarlet_tf.compression.convert import convert_quantized
from scarlet_tf.compression.int8 import CalibrationImages, set_best_ranges, set_measured_ranges
from scarlet_tf.compression.pruning import PrunedModel
from scarlet_tf.compression.qat import QuantizedModel
from scarlet_tf.compression.ranges import _narrowed, measure_ranges, read_ranges, write_ranges
from scarlet_tf.compression.step import FineTuneState
from scarlet_tf.compression.twin import make_twin
from scarlet_tf.export import export_tflite, verify
from scarlet_tf.export.tflite import rewrite
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.zoo import open_model

STEPS = 3


def outputs(source, weights, images):
    model = build(source.spec, input_shape=source.input_shape, classifier_activation=None, bn=source.bn)
    set_weights(model, weights)
    return np.asarray(model(images))


def twin_of(source, weights=None):
    return make_twin(source.spec, weights or source.weights, input_shape=source.input_shape, bn=source.bn)


def fine_tune(compressed, data, **strength):
    config = compression_config("small", batch_size=12, **strength).training
    state = FineTuneState(compressed, config, steps_per_epoch=STEPS, total_steps=STEPS)
    for step, batch in zip(range(STEPS), data.train_batches(12, seed=0), strict=False):
        state.take_steps(step, [batch])


def assert_close(ours, theirs, spec):
    """Two float32 computations of one network."""
    assert np.abs(ours - theirs).max() <= 2 * network_limit(spec) * np.abs(theirs).max()


def test_keras_3_stays_what_the_process_uses():
    import tf_keras

    assert "TF_USE_LEGACY_KERAS" not in os.environ
    assert tf.keras.version().startswith("3.") and tf.keras.layers.Dense is keras.layers.Dense
    assert tf_keras.layers.Dense is not keras.layers.Dense
    assert keras.layers.Dense(2)(np.ones((1, 3), np.float32)).shape == (1, 2)


@pytest.mark.slow
def test_pruning_reaches_its_sparsity_in_three_steps_and_strips_exactly(untrained, data):
    source = open_source(untrained)
    pruned = PrunedModel(twin_of(source), sparsity=0.7, total_steps=STEPS)
    fine_tune(pruned, data, prune=0.7)
    weights = pruned.weights()
    images, _ = data.arrays("test")
    assert_close(outputs(source, weights, images), np.asarray(pruned.model(images)), source.spec)
    for name, array in weights.items():
        dense = name.endswith("/kernel") and "depthwise" not in name
        zeros = int(np.sum(array == 0))
        if dense:  # the least number of whole weights that is 70 %
            assert zeros == int(np.ceil(0.7 * array.size)), name
        elif name.endswith("/kernel"):
            assert zeros == 0, name


@pytest.mark.slow
def test_clustering_keeps_the_network_then_strips_exactly(untrained, data):
    source = open_source(untrained)
    images, _ = data.arrays("test")
    absorbed = absorb_norms(source.weights, epsilon=source.bn.epsilon)
    assert_close(outputs(source, absorbed, images), outputs(source, source.weights, images), source.spec)
    clustered = ClusteredModel(twin_of(source, absorbed), clusters=8)
    fine_tune(clustered, data, cluster=8)
    weights = clustered.weights()
    assert_close(outputs(source, weights, images), np.asarray(clustered.model(images)), source.spec)
    for name, array in weights.items():
        if name.endswith("/kernel") and "depthwise" not in name:
            assert len(np.unique(array)) <= 8, name
        elif name.endswith("/kernel"):
            assert len(np.unique(array)) > 8, name
        if name.endswith("_bn/gamma") and "depthwise" not in name:
            np.testing.assert_array_equal(array, absorbed[name])  # its factor is still 1
        if name.endswith("_bn/beta"):
            assert np.any(array != absorbed[name]), name  # but its bias was trained


@pytest.fixture(scope="module")
def quantized(untrained, data):
    """A quantised model whose ranges hold all that it saw, its float twin, both kinds of ranges, and the images."""
    source = open_source(untrained)
    twin = twin_of(source)
    images = data.arrays("train")[0]
    model = QuantizedModel(twin)
    seen, fitted = measure_ranges(twin, model.layers, images)
    model.set_ends(seen)
    return model, twin, (seen, fitted), images


@pytest.mark.slow
def test_ranges_are_known_before_the_first_step(quantized, untrained, data):
    model, twin, (seen, _), images = quantized
    model.set_ends(seen)
    source = open_source(untrained)
    for name, array in model.weights().items():
        np.testing.assert_array_equal(array, source.weights[name], err_msg=name)
    ranges = model.ranges()
    assert set(ranges) >= {"quant_block00_add/output_min", "quant_classifier/output_max"}
    assert all(value <= 0 if name.endswith("_min") else value > 0 for name, value in ranges.items())
    assert ranges["quant_stem_relu6/output_min"] == 0 and ranges["quant_stem_relu6/output_max"] <= 6
    assert model.ends()["image"] == (images.min(), images.max())
    # The network's own h-sigmoid and no output of a layer that TFLite fuses has a range of its own.
    assert not [name for name in ranges if "_gate" in name or "stem_bn" in name or name.startswith("quant_stem_conv")]
    logits = np.asarray(twin(images))
    assert seen["classifier"] == pytest.approx((min(0, logits.min()), max(0, logits.max())), rel=1e-5)
    # A training call computes with the statistics that will be exported, and moves a range by a hundredth.
    before = np.asarray(model.model(images, training=False))
    assert np.abs(np.asarray(model.model(images / 2, training=True))).max() < 2 * np.abs(before).max()
    for name, array in model.weights().items():
        np.testing.assert_array_equal(array, source.weights[name], err_msg=name)
    stem = np.asarray(tf_keras.Model(twin.input, twin.get_layer("stem_relu6").output)(images / 2))
    moved = 0.99 * ranges["quant_stem_relu6/output_max"] + 0.01 * stem.max()
    assert model.ranges()["quant_stem_relu6/output_max"] == pytest.approx(moved, rel=0.01)


def test_ranges_are_narrowed_where_that_rounds_closer():
    """Against TensorFlow's own fake quantisation, over all shares that are tried."""
    values = np.random.default_rng(0).standard_t(3, 4000).astype(np.float32)  # outliers, which int8 pays for
    low, high = float(values.min()), float(values.max())

    def error(low, high):
        rounded = tf.quantization.fake_quant_with_min_max_args(values, min=low, max=high).numpy()
        return float(np.square(rounded - values, dtype=np.float64).sum())

    narrow = _narrowed(values, low, high)
    assert low < narrow[0] < 0 < narrow[1] < high
    assert error(*narrow) == pytest.approx(min(error(s * low, s * high) for s in np.linspace(0.3, 1, 29)), rel=1e-3)
    assert _narrowed(values * 0, 0.0, 0.0) == (0.0, 0.0)


@pytest.mark.slow
def test_a_model_that_was_not_trained_gives_the_file_of_post_training(quantized, tmp_path, untrained):
    """With all that was seen as ranges, both round at the same places: a last bit of the logits apart, mostly."""
    model, twin, (seen, _), images = quantized
    model.set_ends(seen)
    (tmp_path / "qat.tflite").write_bytes(rewrite(convert_quantized(model.model)).content)
    network = open_model(untrained).model
    export_tflite(network, tmp_path / "post.tflite", quantize="int8", representative=[images])
    files = tuple(tmp_path / name for name in ("qat.tflite", "post.tflite"))
    ours, theirs = verify(network, images, tflite=files).formats
    # Of 36 logits a root of the mean square is known to 1 / sqrt(72) of it, and a ratio of two to 17 %: three of these.
    assert ours.rms_error <= 1.5 * theirs.rms_error
    images = CalibrationImages(measured=images[::2], compared=images[1::2])
    set_measured_ranges(model, twin, images)
    chosen = set_best_ranges(model, twin, network, images)
    assert chosen in ("min_max", "trained") or chosen.startswith("narrowed ")
    (tmp_path / "best.tflite").write_bytes(rewrite(convert_quantized(model.model)).content)
    model.set_ends(measure_ranges(twin, model.layers, images.measured)[0])
    (tmp_path / "min_max.tflite").write_bytes(rewrite(convert_quantized(model.model)).content)
    files = tuple(tmp_path / f"{name}.tflite" for name in ("best", "min_max"))
    best, min_max = verify(network, images.compared, tflite=files).formats
    assert best.rms_error <= min_max.rms_error


@pytest.mark.slow
def test_lets_are_folded_before_anything_is_compressed(tmp_path):
    let = BlockSpec(kind="let", in_channels=8, out_channels=16, stride=2)
    after = BlockSpec(kind="inverted_residual", in_channels=16, out_channels=8, kernel_size=3, hidden_channels=16)
    channels = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16}
    spec = ArchSpec(name="with_let", blocks=(let, after), resolution=16, classes=3, **channels)
    model = build(spec, classifier_activation=None)
    spec.save(tmp_path / "spec.json")
    model.save(tmp_path / "model.keras")
    source = open_source(tmp_path)
    assert [block.kind for block in source.spec.blocks] == ["identity", "inverted_residual"]
    assert not [name for name in source.weights if "let" in name]
    images = np.random.default_rng(0).standard_normal((2, 16, 16, 3), np.float32)
    assert_close(outputs(source, source.weights, images), np.asarray(model(images)), source.spec)
    again = build(source.spec, classifier_activation=None)
    assert get_weights(again).keys() == source.weights.keys()


def test_ranges_of_another_model_or_damaged_ones_are_refused(untrained, tmp_path):
    for name in ("spec.json", "model.keras", "training.json"):
        (tmp_path / name).write_bytes((untrained / name).read_bytes())
    with pytest.raises(CompressionError, match=r"was not trained with --qat: it has no qat\.npz"):
        convert_qat(tmp_path)
    path = tmp_path / "qat.npz"
    write_ranges(path, {"quant_stem_relu6/output_min": np.float32(0), "quant_stem_relu6/output_max": np.float32(6)})
    assert read_ranges(path)["quant_stem_relu6/output_max"] == 6
    with pytest.raises(CompressionError, match=r"qat\.npz does not match its model: .* only one of the two has"):
        convert_qat(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CompressionError, match=r"qat\.npz is damaged"):
        convert_qat(tmp_path)
    with pytest.raises(ValueError, match="nearest is 'uint8'"):
        convert_qat(tmp_path, input_type="uint9")


def test_images_of_another_size_are_refused(untrained, data, tmp_path):
    import dataclasses

    source = dataclasses.replace(open_source(untrained), input_shape=(32, 32, 3))
    with pytest.raises(
        CompressionError, match=r"the model expects input shape \(32, 32, 3\), but the images have shape \(16, 16, 3\)"
    ):
        compress(source, data, compression_config("small", qat=True, batch_size=12), output=tmp_path / "o")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--qat", "--prune=0.5"], "expected one compression method, got qat and prune"),
        (["--prune=1.5"], "sparsity must be in (0, 1), got 1.5"),
        (["--cluster=300"], "clusters must be an integer in 2..256, got 300"),
        (["--qat", "--strategy=mirrored"], "need --model and --strategy=one_device"),
        (["--qat", "--dropout=0.1"], "dropout must be 0 in compression"),
        (["--qat"], "has no trained weights, which compression starts from"),
    ],
)
def test_bad_flags_of_the_tool_are_one_line_and_exit_2(flags, message, tmp_path, call_tool):
    done = call_tool("train", "--model=scarlet_c", "--output=o", *flags, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr
    assert not list(tmp_path.iterdir())
