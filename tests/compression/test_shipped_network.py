"""The trained network that comes with the project, pruned and clustered, in the exported file; before fine-tuning."""

from pathlib import Path

import numpy as np
import pytest

from scarlet_tf.compression import open_source
from scarlet_tf.compression.clustering import ClusteredModel, absorb_norms
from scarlet_tf.compression.pruning import PrunedModel
from scarlet_tf.compression.twin import make_twin
from scarlet_tf.export import export_tflite, verify
from scarlet_tf.models import build, set_weights
from scarlet_tf.tflite import Graph
from scarlet_tf.tflite.graph import Op

FOLDER = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"


def pruned(source, images):
    """Half of every kernel, by the masks that a run's first step sets."""
    model = PrunedModel(_twin(source, source.weights), sparsity=0.5, total_steps=1)
    model.model(images, training=True)
    return model.weights()


def clustered(source, images):
    """16 values a kernel, as k-means finds them."""
    absorbed = absorb_norms(source.weights, epsilon=source.bn.epsilon)
    return ClusteredModel(_twin(source, absorbed), clusters=16).weights()


def _twin(source, weights):
    return make_twin(source.spec, weights, input_shape=source.input_shape, bn=source.bn)


@pytest.mark.slow
@pytest.mark.parametrize("compress", [pruned, clustered])
def test_what_is_promised_of_every_kernel_holds_in_the_file(compress, tmp_path):
    source = open_source(FOLDER)
    images = np.random.default_rng(0).standard_normal((8, *source.input_shape), np.float32)
    model = build(source.spec, input_shape=source.input_shape, classifier_activation=None, bn=source.bn)
    set_weights(model, compress(source, images))
    graph = Graph(export_tflite(model, tmp_path / "a.tflite").content)
    (check,) = verify(model, images, tflite=(tmp_path / "a.tflite",)).formats
    assert check.relative_error <= 1e-5 and check.partitions == 1
    layers = graph.of_kind(Op.CONV_2D) + graph.of_kind(Op.FULLY_CONNECTED)
    kernels = [graph.real_constant(operator.inputs[1]) for operator in layers]
    assert len(kernels) == 26
    if compress is pruned:
        assert all(0.5 <= np.mean(kernel == 0) < 0.5 + 1 / kernel.size for kernel in kernels)
    else:
        assert all(8 <= len(np.unique(kernel)) <= 16 for kernel in kernels)
