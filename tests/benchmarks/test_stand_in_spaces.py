import pytest

from benchmarks.stand_in_spaces import SPACES, stand_in
from scarlet_tf.arch import get_space, scale


def test_deep_is_the_whole_space_scaled():
    genome = (1, 3, 5, 12, *range(12), 7, 12, 9)
    scaled = scale(get_space("scarlet", classes=10).spec(genome, let=True), width=0.25, resolution=32)
    deep = stand_in("deep").spec(genome, let=True)
    assert deep.blocks == scaled.blocks
    for field in ("resolution", "stem_channels", "first_channels", "tail_channels", "classes"):
        assert getattr(deep, field) == getattr(scaled, field)


def test_double_has_every_layer_of_small_twice():
    small, double = stand_in("small"), stand_in("double")
    assert double.num_layers == 12 and double.strides == (2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1)
    assert double.out_channels[::2] == double.out_channels[1::2] == small.out_channels
    assert double.resolution == small.resolution and double.tail_channels == small.tail_channels


def test_small_is_the_preset_and_others_are_refused():
    assert stand_in("small") == get_space("small")
    assert [stand_in(space, classes=7).classes for space in SPACES] == [7, 7, 7]
    with pytest.raises(ValueError, match=r"'smal'.*nearest is 'small'"):
        stand_in("smal")
