import pytest

from scarlet_tf.arch import count, get_space, scale
from scarlet_tf.arch.counting import strided
from scarlet_tf.image_size import canonical_image_size, describe_image_size, height_and_width, parse_image_size


@pytest.mark.parametrize(("text", "size"), [("224", 224), ("224x160", (224, 160)), ("96X96", 96), (" 7 x 5 ", (7, 5))])
def test_a_size_is_read_and_written(text, size):
    assert parse_image_size(text) == size and parse_image_size(describe_image_size(size)) == size
    assert parse_image_size(None) is None


def test_a_size_has_one_form():
    assert canonical_image_size([5, 5], what="it") == 5 and canonical_image_size([5, 4], what="it") == (5, 4)
    assert height_and_width(5) == (5, 5) and height_and_width((5, 4)) == (5, 4)


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "5", None, (5,), (5, 0), (5, 4, 3), (None, None)])
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError, match=r"it must be an integer >= 1, or two of them .* got"):
        canonical_image_size(value, what="it")


def test_multiply_adds_of_a_size_that_is_not_square():
    """Convolutions cost an amount a pixel, the rest a constant; sizes are multiples of all strides together."""
    spec = get_space("small").spec((3, 12, 1, 7, 11, 12))
    small, large = (count(spec, resolution=side).madds for side in (64, 128))
    a_pixel = (large - small) / (128**2 - 64**2)
    constant = small - a_pixel * 64**2
    assert count(spec, resolution=(64, 192)).madds == round(a_pixel * 64 * 192 + constant)
    assert count(spec, resolution=(192, 64)) == count(spec, resolution=(64, 192))
    assert count(spec, resolution=(64, 192)).params == count(spec).params


def test_sides_are_rounded_up_one_by_one():
    assert strided((7, 4), 2) == (4, 2) and strided(7, 2) == 4


def test_a_scaled_network_is_named_by_its_size():
    spec = scale(get_space("small").spec((0,) * 6, name="net"), resolution=(224, 160))
    assert spec.name == "net_resolution224x160" and spec.input_shape == (224, 160, 3)
    assert type(spec).from_json(spec.to_json()) == spec
    assert scale(spec, resolution=(224, 160)).name == spec.name
