import re

import numpy as np
import pytest

from scarlet_tf.data import DataError, DataWarning
from scarlet_tf.data.classes import check_classes, match_classes
from scarlet_tf.zoo.labels import imagenet_classes


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (["cat", "dog"], ["cat", "dog", "fish"], "has test images of classes without training images: 'fish'"),
        (["cat", "dog"], ["Cat", "dog"], "without training images: 'Cat' ('cat' differs only in case)"),
        (["caf\u00e9", "bar"], ["cafe\u0301", "bar"], "('caf\u00e9' differs only in its Unicode encoding)"),
        (["tomato", "pear"], ["tomatoes"], "'tomatoes' (nearest is 'tomato')"),
        ([*"xyz"], [*"abcdefg"], "'a', 'b', 'c', 'd', 'e' and 2 more"),
        (["cat"], ["cat"], "has only one class, 'cat': training needs at least two"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(train, test, message):
    with pytest.raises(DataError, match=f"^'set'.*{re.escape(message)}"):
        check_classes("set", {"train": dict.fromkeys(train, 1), "test": dict.fromkeys(test, 1)})


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (["cat", "dog", "fish"], ["dog"], "has no test images of 'cat', 'fish'"),
        (["Cat", "cat"], ["Cat", "cat"], "has classes 'Cat' and 'cat', which look alike"),
    ],
)
def test_what_is_probably_not_meant_is_warned_of(train, test, message):
    with pytest.warns(DataWarning, match=re.escape(message)):
        check_classes("set", {"train": dict.fromkeys(train, 1), "test": dict.fromkeys(test, 1)})


def test_classes_are_matched_by_name():
    model = ["fish", "cat", "dog"]
    np.testing.assert_array_equal(match_classes("set", ["dog", "fish"], model_classes=model), [2, 0])
    with pytest.raises(DataError, match=r"lacks: 'Dog' \('dog' differs only in case\), 'bird'$"):
        match_classes("set", ["bird", "Dog", "cat"][::-1], model_classes=model)


def test_classes_without_images_need_no_output():
    outputs = match_classes("set", ["bird", "cat"], model_classes=["cat", "dog"], used=["cat"])
    np.testing.assert_array_equal(outputs, [-1, 0])


def test_imagenets_words_are_matched_by_wordnet_ids():
    ids, words = zip(*imagenet_classes(), strict=True)
    np.testing.assert_array_equal(match_classes("imagenet2012", ids, model_classes=words), np.arange(1000))
    np.testing.assert_array_equal(match_classes("set", ["n02012849", "n01440764"], model_classes=words), [134, 0])
    np.testing.assert_array_equal(match_classes("set", ["tench"], model_classes=words), [0])
    with pytest.raises(DataError, match="'set' has classes that the model has twice: 'crane'; use their WordNet ids"):
        match_classes("set", ["crane", "tench"], model_classes=words)
    np.testing.assert_array_equal(match_classes("set", ["crane", "tench"], model_classes=words, used=["tench"])[1], 0)
    with pytest.raises(DataError, match="lacks: 'n01440764'"):
        match_classes("set", ["n01440764"], model_classes=["tench"])
