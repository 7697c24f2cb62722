"""Class names: checks that a dataset's splits agree, and the mapping from a dataset's labels to a model's outputs."""

from __future__ import annotations

import difflib
import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from scarlet_tf.data.data_config import DataError

_MOST_NAMED = 5  # class names in a message


class DataWarning(UserWarning):
    """Warning about a property of a dataset that is probably a mistake; the message names it."""


def check_classes(name: str, counts: Mapping[str, Mapping[str, int] | None]) -> None:
    """Check that a dataset has two or more classes, and training images of every class of its other splits.

    Warns (DataWarning) about classes without test images, and about names that differ only in case or in how accents
    are encoded.

    Args:
        name: the dataset's name, for messages.
        counts: for each split, including "train" and "test", the number of images by class, without empty classes;
            None if unknown.

    Raises:
        DataError: if a split has images of a class without training images, or there is only one class.
    """
    train = counts["train"]
    if train is None:
        return
    for split, others in counts.items():
        if unknown := sorted(set(others) - set(train)):
            named = _named(unknown, known=train)
            raise DataError(f"{name!r} has {split} images of classes without training images: {named}")
    if len(train) < 2:
        raise DataError(f"{name!r} has only one class, {', '.join(train)!r}: training needs at least two")
    if untested := sorted(set(train) - set(counts["test"])):
        warnings.warn(f"{name!r} has no test images of {_named(untested)}", DataWarning, stacklevel=1)
    for one in sorted(train):
        if (other := _alike(one, train)) and one < other:
            warnings.warn(f"{name!r} has classes {one!r} and {other!r}, which look alike", DataWarning, stacklevel=1)


def match_classes(
    name: str, classes: Sequence[str], *, model_classes: Sequence[str], used: Collection[str] | None = None
) -> np.ndarray:
    """Map the labels of a dataset to the outputs of a model, by class name.

    Datasets name ImageNet's classes by their WordNet ids. A model that has the words instead is matched by the ids too.

    Args:
        name: the dataset's name, for messages.
        classes: the dataset's class names, in label order.
        model_classes: the model's class names, in output order.
        used: the dataset's classes that have images, which the model must know; None: all.

    Returns:
        (classes,) int32, the model's output for each label; -1 for unused classes that the model lacks.

    Raises:
        DataError: if the model lacks a used class, or has it twice; the message names it.
    """
    used = classes if used is None else used
    model_classes = _like(classes, model_classes)
    output_of = {known: output for output, known in enumerate(model_classes)}
    counts = Counter(model_classes)
    if twice := [one for one in classes if one in used and counts[one] > 1]:
        raise DataError(f"{name!r} has classes that the model has twice: {_named(twice)}; use their WordNet ids")
    if unknown := [one for one in classes if one in used and one not in output_of]:
        raise DataError(f"{name!r} has classes that the model lacks: {_named(unknown, known=model_classes)}")
    return np.array([output_of.get(one, -1) for one in classes], np.int32)


def _like(classes: Sequence[str], model_classes: Sequence[str]) -> Sequence[str]:
    """Return ImageNet's WordNet ids for a model that has the words, if the dataset's classes are ids."""
    from scarlet_tf.zoo.labels import imagenet_classes

    ids, words = zip(*imagenet_classes(), strict=True)
    return ids if tuple(model_classes) == words and set(classes) <= set(ids) else model_classes


def _named(names: Sequence[str], *, known: Collection[str] = ()) -> str:
    """List the first few names, each with the known name that may have been meant."""
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(_hinted(name, known=known) for name in names[:_MOST_NAMED]) + rest


def _hinted(name: str, *, known: Collection[str]) -> str:
    if alike := _alike(name, known):
        how = "only in case" if alike.lower() == name.lower() else "only in its Unicode encoding"
        return f"{name!r} ({alike!r} differs {how})"
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{name!r} (nearest is {nearest[0]!r})" if nearest else repr(name)


def _alike(name: str, known: Collection[str]) -> str | None:
    """Return a known name that looks the same to a reader, or None."""
    return next((other for other in sorted(known) if other != name and _folded(other) == _folded(name)), None)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
