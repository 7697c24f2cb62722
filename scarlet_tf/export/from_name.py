"""From what a user names to the model that is exported, its calibration images and what is said about it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.export.fold import SlotReport, fold_model
from scarlet_tf.export.preprocessing import with_preprocessing
from scarlet_tf.export.served import ServedModel
from scarlet_tf.export.untrained import settle_batch_norms
from scarlet_tf.zoo import open_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exportable:
    """A model ready for export.

    Attributes:
        model: a Keras model, its LETs folded where that is exact, or a ServedModel.
        original: the same before folding.
        spec: the original's; None where a file alone does not tell.
        trained: whether the weights came from a file; else they are random.
        images: float32 (n, H, W, C), as the model takes them: to calibrate and to compare with.
        notes: lines to tell the user: what became of every LET, and whether the weights are random.
        record: for the file's own metadata; its "input" says how images are normalised, where that is known.
    """

    model: object
    original: object
    spec: ArchSpec | None
    trained: bool
    images: np.ndarray
    notes: tuple[str, ...]
    record: dict


def prepare(
    name: str | os.PathLike,
    *,
    weights: str | os.PathLike | None = None,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    examples: int = 100,
    include_preprocessing: bool = False,
    seed: int = 0,
) -> Exportable:
    """Opens a model and makes it ready.

    Args:
        name: as `zoo.open_model` takes it, or a SavedModel's folder.
        dataset: whose first training images, prepared as for evaluation, are used; None: random normal ones.
        examples: number of images; all there are where a set has fewer.
        include_preprocessing: the model takes pixels, 0..255, and normalises them itself.
        seed: of random weights and images. A model without weights from a file gets BN statistics of a few images.
    """
    wanted = {"dataset": dataset, "data_dir": data_dir, "examples": examples, "seed": seed}
    if (Path(name) / "saved_model.pb").is_file():
        for option, given in (("weights", weights), ("include_preprocessing", include_preprocessing)):
            if given:
                raise ValueError(f"{option} does not go with {os.fspath(name)!r}: a SavedModel has its own")
        served = ServedModel(name)
        images = _images(served.input_shape, **wanted)
        record = {"model": served.name}
        return Exportable(
            model=served, original=served, spec=None, trained=True, images=images, notes=(), record=record
        )
    loaded = open_model(name, weights=weights)
    model = loaded.model
    mean, std = loaded.mean_and_std
    images = _images(model.input_shape, **wanted, mean=tuple(mean), std=tuple(std))
    if not loaded.from_file:
        settle_batch_norms(model, images[:8])
    slots = ()
    original = model
    if loaded.spec is not None and any(block.kind == "let" for block in loaded.spec.blocks):
        model, result = fold_model(model, loaded.spec)
        slots = result.slots
    elif loaded.spec is None:
        kept = "kept: a .keras file alone does not say what can be folded; export its folder instead"
        lets = [layer.name for layer in model.layers if layer.name.endswith("_let")]
        slots = tuple(SlotReport(slot=int(name[5:7]), action="kept", reason=kept) for name in lets)  # "block07_let"
    if include_preprocessing:
        original = with_preprocessing(original, mean=mean, std=std)
        model = original if not slots else with_preprocessing(model, mean=mean, std=std)
        images = (images * np.asarray(std, np.float32) + np.asarray(mean, np.float32)) * np.float32(255.0)
        mean, std = [0.0] * len(mean), [1.0 / 255.0] * len(std)  # of what is left to the caller
    record = {
        "model": model.name,
        "input": {"mean": mean, "std": std},
        "spec": None if loaded.spec is None else loaded.spec.to_dict(),
        "class_names": (loaded.training or {}).get("class_names"),
    }
    notes = [f"LET of slot {slot.slot}: {slot.reason}" for slot in slots]
    if not loaded.from_file:
        notes.append(f"{model.name} has random weights: none were given")
    return Exportable(
        model=model,
        original=original,
        spec=loaded.spec,
        trained=loaded.from_file,
        images=images,
        notes=tuple(notes),
        record=record,
    )


def _images(input_shape, *, dataset, data_dir, examples: int, seed: int, mean=None, std=None) -> np.ndarray:
    _, height, width, channels = input_shape
    if dataset is None:
        return np.random.default_rng(seed).standard_normal((examples, height, width, channels), np.float32)
    config = DataConfig(name=dataset, image_size=height, data_dir=data_dir, mean=mean, std=std)
    data = open_dataset(config)
    if examples >= data.num_examples["train"]:
        return data.arrays("train")[0]
    # Drawn from all classes, prepared as for evaluation: the split that a search would hold out.
    return open_dataset(dataclasses.replace(config, search_validation=examples)).arrays("search_validation")[0]
