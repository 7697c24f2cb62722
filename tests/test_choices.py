"""Values that are not among the valid ones, and what their errors say."""

import pytest

from scarlet_tf.choices import check_integer, check_known

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
        check_known("precision", value, PRECISIONS)
    assert str(refused.value) == f"unknown precision {value!r}: expected one of {PRECISIONS}, nearest is {nearest!r}"


def test_a_known_value_passes():
    check_known("precision", "float32", PRECISIONS)


@pytest.mark.parametrize("value", [0, True, 1.0, "1", None])
def test_what_is_no_integer_of_a_size_is_refused(value):
    with pytest.raises(ValueError, match=f"^steps must be an integer >= 1, got {value!r}$"):
        check_integer("steps", value, least=1)
    check_integer("steps", 1, least=1)
