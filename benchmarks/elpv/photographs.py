"""Arrange the ELPV photographs as an image folder: PATH/train/CLASS/*.png and PATH/test/CLASS/*.png."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import tempfile
from pathlib import Path

import numpy as np

CLASSES = ("defective", "functional")
TEST_SHARE = 654 / 2624  # leaves 1,970 of the 2,624 photographs for training
INSTALL = "pip install --no-deps elpv-dataset"


def find_labels() -> Path:
    """Return the path of labels.csv in the package elpv-dataset; raise FileNotFoundError if it is not installed."""
    package = importlib.util.find_spec("elpv_dataset")
    labels = Path(package.submodule_search_locations[0]) / "data" / "labels.csv" if package else None
    if labels is None or not labels.is_file():
        raise FileNotFoundError(f"the photographs are not installed; get them with: {INSTALL}")
    return labels


def read_labels(labels: Path) -> list[tuple[Path, str]]:
    """Return (image path, class) for every line "images/NAME.png PROBABILITY TYPE".

    A cell is defective if its probability of a defect, 0, 1/3, 2/3 or 1, is above one half.
    """
    with labels.open(newline="") as file:
        rows = [row for row in csv.reader(file, delimiter=" ", skipinitialspace=True) if row]
    return [(labels.parent / row[0], CLASSES[float(row[1]) < 0.5]) for row in rows]


def choose_test(classes: list[str], *, share: float = TEST_SHARE, seed: int = 0) -> np.ndarray:
    """Return a boolean mask of the test images: round(share * n) random ones from each class of n images."""
    rng, names = np.random.default_rng(seed), np.array(classes)
    chosen = np.zeros(len(names), bool)
    for name in sorted(set(classes)):
        members = np.flatnonzero(names == name)
        chosen[rng.permutation(members)[: round(share * len(members))]] = True
    return chosen


def write_folder(folder: Path, labels: Path) -> dict[str, dict[str, int]]:
    """Copy the images into `folder` unless it exists; return the number of images by split and class."""
    examples = read_labels(labels)
    counts = {split: dict.fromkeys(CLASSES, 0) for split in ("train", "test")}
    places = []
    for (path, name), tested in zip(examples, choose_test([name for _, name in examples]), strict=True):
        split = "test" if tested else "train"
        counts[split][name] += 1
        places.append((path, Path(split) / name / path.name))
    if folder.exists():
        missing = [place for _, place in places if not (folder / place).is_file()]
        if missing:
            raise FileNotFoundError(f"{folder} lacks {missing[0]}, one of {len(missing)}: delete the folder")
        return counts
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as aside:
        whole = Path(aside) / folder.name
        for path, place in places:
            (whole / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, whole / place)
        whole.rename(folder)
    return counts
