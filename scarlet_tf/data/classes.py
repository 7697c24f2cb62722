"""Classes by name: do a set's splits have the same ones, and which output of a model is which class of a set."""

from __future__ import annotations

import difflib
import unicodedata
import warnings
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from scarlet_tf.data.data_config import DataError

_MOST_NAMED = 5  # in one line


class DataWarning(UserWarning):
    """A property of a data set that is probably a mistake; the message names it."""


def check_classes(name: str, counts: Mapping[str, Mapping[str, int] | None]) -> None:
    """Check that a set can be trained on: two or more classes, and no images of others in another split.

    Warns (DataWarning) of classes without test images, and of names that differ by case or by how accents are encoded.

    Args:
        name: of the data set.
        counts: by split, "train" and "test" among them, the number of images by class, of the classes that have any;
            None where that is not known.

    Raises:
        DataError: for images of a class that has no training images, and for a single class.
    """
    train = counts["train"]
    if train is None:
        return
    for split, others in counts.items():
        if unknown := sorted(set(others) - set(train)):
            named = _named(unknown, known=train)
            raise DataError(f"{name!r} has {split} images of classes without training images: {named}")
    if len(train) < 2:
        raise DataError(f"{name!r} has images of a single class, {', '.join(train)!r}: training needs two")
    if untested := sorted(set(train) - set(counts["test"])):
        warnings.warn(f"{name!r} has no test images of {_named(untested)}", DataWarning, stacklevel=1)
    for one in sorted(train):
        if (other := _alike(one, train)) and one < other:
            warnings.warn(f"{name!r} has classes {one!r} and {other!r}, which look alike", DataWarning, stacklevel=1)


def match_classes(
    name: str, classes: Sequence[str], *, model_classes: Sequence[str], used: Collection[str] | None = None
) -> np.ndarray:
    """Match the classes of a set with those of a model, by name.

    Args:
        name: of the data set.
        classes: the set's, by label.
        model_classes: the model's, by output.
        used: the set's classes that count, as there are images of them; None: all.

    Returns:
        (classes,) int32, the model's output for each label of the set; -1 for classes that the model lacks, if unused.

    Raises:
        DataError: naming the classes that the model does not have.
    """
    output_of = {known: output for output, known in enumerate(model_classes)}
    used = classes if used is None else used
    if unknown := [one for one in classes if one in used and one not in output_of]:
        raise DataError(f"{name!r} has classes that the model does not know: {_named(unknown, known=model_classes)}")
    return np.array([output_of.get(one, -1) for one in classes], np.int32)


def _named(names: Sequence[str], *, known: Collection[str] = ()) -> str:
    """The first of some names, each with the known one that it may stand for."""
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(_hinted(name, known=known) for name in names[:_MOST_NAMED]) + rest


def _hinted(name: str, *, known: Collection[str]) -> str:
    if alike := _alike(name, known):
        how = "by case only" if alike.lower() == name.lower() else "in its letters' codes only"
        return f"{name!r} ({alike!r} differs {how})"
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{name!r} (nearest is {nearest[0]!r})" if nearest else repr(name)


def _alike(name: str, known: Collection[str]) -> str | None:
    """Another name that a reader takes for this one."""
    return next((other for other in sorted(known) if other != name and _folded(other) == _folded(name)), None)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
