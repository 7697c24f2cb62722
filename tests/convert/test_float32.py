"""Keras against PyTorch in float32, on weights that keep activations at the scale of trained ones."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from rounding import network_limit

from scarlet_tf import zoo
from scarlet_tf.convert import from_state_dict, to_state_dict
from scarlet_tf.models import build, get_weights, measure_batch_norms, set_weights

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["scarlet_a", "scarlet_c"])
def test_logits_with_settled_statistics(name, rule, official_shapes, monkeypatch):
    """The rule's weights with the BN statistics of images: measured 2.8e-6 to 4.5e-6, with oneDNN and without."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "golden"))
    reference = importlib.import_module("pytorch_reference")
    spec = zoo.get_spec(name)
    model = build(spec, classifier_activation=None)
    set_weights(model, from_state_dict(spec, {key: rule.fill(key, s) for key, s in official_shapes[name].items()}))
    measure_batch_norms(model, [np.random.default_rng(5).standard_normal((8, 224, 224, 3)).astype(np.float32)])
    state = {key: torch.from_numpy(array) for key, array in to_state_dict(spec, get_weights(model)).items()}
    images = rule.images()
    with torch.no_grad():
        expected = reference.logits(
            reference.GENOMES[name], state, torch.from_numpy(images).permute(0, 3, 1, 2)
        ).numpy()
    logits = np.asarray(model(images, training=False))
    assert np.abs(logits - expected).max() / np.abs(expected).max() <= 2 * network_limit(spec)
