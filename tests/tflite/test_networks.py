"""Whole networks of others and of the zoo, converted by TensorFlow and rewritten."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow
IMAGES = 4


def converted(make, size, scale, float_file):
    """A network whose outputs depend on the image, its float file of batch 1, images (n, 1, size, size, 3)."""
    import keras

    from scarlet_tf.models import measure_batch_norms

    keras.utils.set_random_seed(0)
    images = scale * np.random.default_rng(0).standard_normal((IMAGES, 1, size, size, 3)).astype(np.float32)
    model = make(keras)
    measure_batch_norms(model, [images[:, 0]])
    return model, float_file(model, size), images


def mobilenet_v3(keras):
    return keras.applications.MobileNetV3Small(
        (64, 64, 3), alpha=0.75, weights=None, classes=10, classifier_activation=None, include_preprocessing=False
    )


def efficientnet_b0(keras):
    return keras.applications.EfficientNetB0(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )


@pytest.mark.parametrize(
    ("make", "scale", "partitions", "stems", "swishes"),
    [(mobilenet_v3, 1.0, 20, 1, 19), (efficientnet_b0, 50.0, 1, 0, 0)],
    ids=["mobilenet_v3", "efficientnet_b0"],
)
def test_networks_of_others(make, scale, partitions, stems, swishes, run, float_file):
    """Nothing to do for the float file; the int8 one in one piece, and no farther from the float one than it was."""
    from scarlet_tf.export.integer import calibrate, quantize_to_int8
    from scarlet_tf.tflite import optimize

    _, real, images = converted(make, 64, scale, float_file)
    assert optimize(real, label="float").content == real
    calibrated = calibrate(real, lambda: ([image] for image in images))
    content = quantize_to_int8(calibrated, input_range=None, input_type="float32", output_type="float32")
    result = optimize(content, label="int8")
    changes = {kind: 0 for kind in ("CONV_2D", "HARD_SWISH", "DEPTHWISE_CONV_2D")}
    for choice in result.choices:
        changes[choice.signature.kind] += choice.changes
    assert changes == {"CONV_2D": stems, "HARD_SWISH": swishes, "DEPTHWISE_CONV_2D": 0}
    assert (result.before.partitions, result.after.partitions) == (partitions, 1)
    expected, before, after = (
        np.concatenate([run(c, image)[0] for image in images]) for c in (real, content, result.content)
    )
    spread = np.ptp(expected)
    assert np.ptp(expected, axis=0).mean() > 0.1 * spread
    assert np.abs(after - expected).mean() <= 0.05 * spread
    assert np.abs(after - before).mean() <= 0.05 * spread


@pytest.mark.parametrize("size", [224, 225])
def test_scarlet_a_against_keras(size, run, relative_difference, float_file):
    from scarlet_tf import zoo
    from scarlet_tf.models import build
    from scarlet_tf.tflite import optimize

    spec = zoo.get_spec("scarlet_a")
    model, content, images = converted(
        lambda keras: build(spec, input_shape=(size, size, 3), classifier_activation=None), size, 1.0, float_file
    )
    result = optimize(content, label="scarlet_a")
    large = sum(block.kernel_size == 7 for block in spec.blocks)
    assert sum(choice.changes for choice in result.choices) == large > 5
    assert result.before.partitions == result.after.partitions == 1
    image = images[0]
    assert relative_difference([np.asarray(model(image))], run(result.content, image)) <= 1e-5
