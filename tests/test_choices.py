"""Which choice is nearest to a value that is none."""

import pytest

from scarlet_tf.choices import require_known

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        ("float16", "mixed_float16"),
        ("bfloat16", "mixed_bfloat16"),
        ("float", "float32"),
        ("flaot32", "float32"),
        ("mixed_float61", "mixed_float16"),
    ],
)
def test_the_nearest_choice_is_named(value, nearest):
    with pytest.raises(ValueError) as refused:
        require_known("precision", value, PRECISIONS)
    assert str(refused.value) == f"unknown precision {value!r}: expected one of {PRECISIONS}, nearest is {nearest!r}"


def test_a_known_value_passes():
    require_known("precision", "float32", PRECISIONS)
