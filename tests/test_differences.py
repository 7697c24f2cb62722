"""What is said of two runs' settings."""

import pytest

from scarlet_tf.differences import name_differences

SETTINGS = {"steps": 60, "space": {"strides": [2, 1], "classes": 10}, "blocks": [{"kernel": 3}, {"kernel": 5}]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"space": {"strides": (2, 1), "classes": 10}}, ""),
        ({"steps": 70}, "steps was 60, is 70"),
        (
            {"space": {"strides": [1, 1], "classes": 2}},
            "space.strides was [2, 1], is [1, 1]; space.classes was 10, is 2",
        ),
        ({"blocks": [{"kernel": 3}, {"kernel": 7}]}, "blocks.1.kernel was 5, is 7"),
        ({"blocks": [{"kernel": 3}]}, "blocks.1 was {'kernel': 5}, is absent"),
        ({"seed": 0}, "seed was absent, is 0"),
        ({"space": None}, "space was {'strides': [2, 1], 'classes': 10}, is None"),
        ({"steps": "9" * 100}, f"steps was 60, is '{'9' * 56}..."),
    ],
)
def test_each_difference_is_named_with_both_values(change, said):
    assert name_differences(SETTINGS, SETTINGS | change) == said


def test_a_tuple_is_a_list_on_both_sides():
    assert name_differences({"blocks": ({"kernel": 3},)}, {"blocks": [{"kernel": 3}]}) == ""


def test_of_many_the_first_are_named():
    said = name_differences({str(n): 0 for n in range(8)}, {str(n): 1 for n in range(8)})
    assert said == "; ".join(f"{n} was 0, is 1" for n in range(5)) + "; and 3 more"


def test_a_value_that_is_no_object():
    assert name_differences("ab", "cd") == "it was 'ab', is 'cd'"
