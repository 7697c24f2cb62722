"""The kernels for each kind of device, chosen by force, against float64."""

from pathlib import Path

import kernels_by_device
import numpy as np
import pytest
import tensorflow as tf
from forked import ForkedProcess
from kernels_by_device import CASES, inputs
from rounding import rounding_limit

from scarlet_tf.kernels.device import DEVICE_KINDS, set_device_kind


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each kind of kernels returns, by name."""
    folder = tmp_path_factory.mktemp("kinds")
    script = Path(kernels_by_device.__file__)
    processes = [ForkedProcess([script, kind, folder / f"{kind}.npz"]) for kind in DEVICE_KINDS]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-2000:]
    return {kind: dict(np.load(folder / f"{kind}.npz")) for kind in DEVICE_KINDS}


def reference(size, stride):
    """Return, in float64 and with TensorFlow's own gradients, what `kernels_by_device.run` does."""
    *arguments, weight = (tf.constant(value.astype(np.float32), tf.float64) for value in inputs(size))
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        x, gamma, beta, kernel = arguments
        mean, variance = tf.nn.moments(x, axes=(0, 1, 2))
        y = (x - mean) / tf.sqrt(variance + 1e-5) * gamma + beta
        y = y * tf.minimum(tf.maximum(y + 3.0, 0.0), 6.0) / 6.0
        pad = size // 2
        padded = tf.pad(y, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        z = tf.nn.depthwise_conv2d(padded, kernel, (1, stride, stride, 1), "VALID")
        loss = tf.reduce_sum(z * weight[:, : z.shape[1], : z.shape[2]])
    return [z, *tape.gradient(loss, arguments)]


@pytest.mark.parametrize("kind", DEVICE_KINDS)
@pytest.mark.parametrize(("size", "stride"), CASES)
def test_kernels_of_each_kind_are_exact(results, kind, size, stride):
    limit = rounding_limit(256, 256, 8, size**2, size**2, 256)
    for name, expected in zip(("z", "x", "gamma", "beta", "kernel"), reference(size, stride), strict=True):
        scale = np.abs(expected).max()
        got = results[kind][f"{size} {stride} {name}"]
        np.testing.assert_allclose(got, expected, atol=4 * limit * scale, err_msg=name)  # sums of terms of both signs


@pytest.mark.parametrize(("size", "stride"), CASES)
def test_the_kinds_take_different_kernels(results, size, stride):
    takes_filter_kernel = {
        kind: "DepthwiseConv2dNativeBackpropFilter" in results[kind][f"{size} {stride} ops"] for kind in DEVICE_KINDS
    }
    assert takes_filter_kernel == {"cpu": size == 3 or stride == 2, "accelerator": True}


@pytest.mark.parametrize("kind", DEVICE_KINDS)
def test_the_kind_is_decided_once(results, kind):
    assert str(results[kind]["refusal"]).startswith(f"kernels for {kind!r} have been made: set the device kind")


def test_unknown_kind_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown device kind 'gpu': expected one of .*'cpu'"):
        set_device_kind("gpu")
