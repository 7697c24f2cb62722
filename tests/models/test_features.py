"""Feature maps for detection and segmentation."""

import keras
import numpy as np
import pytest
import tf_keras

from scarlet_tf import zoo
from scarlet_tf.arch import SearchSpace, get_space
from scarlet_tf.models import build, feature_extractor

CHANNELS = {"P1": 16, "P2": 32, "P3": 40, "P4": 96, "P5": 320}


@pytest.mark.parametrize("side", [224, 225])
def test_maps_of_scarlet_a(side):
    model = zoo.scarlet_a(include_top=False, input_shape=(side, side, 3))
    maps = feature_extractor(model, levels=tuple(CHANNELS)).output
    for level, channels in CHANNELS.items():
        stride = 2 ** int(level[1])
        assert maps[level].shape == (None, -(-side // stride), -(-side // stride), channels)


@pytest.mark.parametrize("module", [keras, tf_keras])
def test_maps_are_the_models_own(module):
    """The first halving is an identity's pool, the second inside a block."""
    model = build(get_space("small").spec((12, 7, 7, 12, 7, 7)), keras=module)
    extractor = feature_extractor(model, levels=("P1", "P2"))
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
    maps = extractor(images)
    assert list(maps) == ["P1", "P2"] and extractor.name.endswith("_features")
    for features in maps.values():
        assert any(
            layer.output.shape[1:] == features.shape[1:]
            and np.array_equal(module.Model(model.input, layer.output)(images), features)
            for layer in model.layers
            if layer.name.endswith(("_add", "_project_bn", "_pool"))
        )
    tail = module.Model(model.input, model.get_layer("tail_conv").input)(images)
    last = feature_extractor(model, levels=("P3",))
    np.testing.assert_array_equal(next(iter(last(images).values())), tail)


@pytest.mark.parametrize(
    ("space", "levels"), [("scarlet", ["P2", "P3", "P4", "P5"]), ("small", ["P2", "P3"]), ("flat", ["P0"])]
)
def test_default_levels_are_those_that_there_are(space, levels):
    flat = SearchSpace(name="flat", out_channels=(8,), strides=(1,), stem_stride=1, resolution=8)
    space = flat if space == "flat" else get_space(space)
    model = build(space.spec((7,) * space.num_layers))
    maps = feature_extractor(model).output
    assert list(maps) == levels
    assert [maps[level].shape[1] for level in levels] == [model.input_shape[1] // 2 ** int(name[1]) for name in levels]


def test_unknown_level():
    with pytest.raises(ValueError, match=r"unknown level 'P7'.*nearest is 'P"):
        feature_extractor(zoo.scarlet_c(), levels=("P7",))
    with pytest.raises(ValueError, match="'other' has no layers of these networks"):
        feature_extractor(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="other"))
    with pytest.raises(ValueError, match=r"levels must be a list such as \['P2'\], got 'P2'"):
        feature_extractor(zoo.scarlet_c(), levels="P2")
    with pytest.raises(ValueError, match="at least one level"):
        feature_extractor(zoo.scarlet_c(), levels=())
