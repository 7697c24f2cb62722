"""From what a user names to the model that is exported, its calibration images and what is said about it."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.export.ending import PROBABILITIES, output_name, with_softmax
from scarlet_tf.export.fold import SlotReport, fold_model
from scarlet_tf.export.policy import float32_policy, in_float32
from scarlet_tf.export.preprocessing import with_preprocessing
from scarlet_tf.export.saved_model import read_saved_record
from scarlet_tf.export.served import ServedModel
from scarlet_tf.export.untrained import settle_batch_norms
from scarlet_tf.zoo import ASSUMED_PREPROCESSING, LoadedModel, Preprocessing, open_model
from scarlet_tf.zoo.labels import IMAGENET_CLASSES, imagenet_classes

_PIXELS = (0.0, 255.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exportable:
    """A model ready for export.

    Attributes:
        model: a Keras model in float32, its LETs folded where that is exact, or a ServedModel.
        original: the same before folding.
        spec: the original's; None where a file alone does not tell.
        trained: whether the weights came from a file; else they are random.
        images: float32 (n, H, W, C), as the model takes them: to calibrate and to compare with.
        preprocessing: how the model wants its images; None for a SavedModel that does not say it.
        notes: lines to tell the user: what became of every LET, whether the weights are random, and what is assumed.
        record: for the file's own metadata; its "input" is the preprocessing, where that is known.
    """

    model: object
    original: object
    spec: ArchSpec | None
    trained: bool
    images: np.ndarray
    preprocessing: Preprocessing | None
    notes: tuple[str, ...]
    record: dict

    @property
    def input_range(self) -> tuple[float, float] | None:
        """Least and greatest input of a model that takes pixels; None: known from images alone."""
        takes_pixels = self.preprocessing is not None and self.preprocessing == self.preprocessing.of_pixels()
        return _PIXELS if takes_pixels else None


@float32_policy()
def prepare(
    name: str | os.PathLike,
    *,
    weights: str | os.PathLike | None = None,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    skip_damaged: bool = False,
    examples: int = 100,
    include_preprocessing: bool = False,
    softmax: bool = False,
    seed: int = 0,
) -> Exportable:
    """Opens a model and makes it ready.

    Args:
        name: as `zoo.open_model` takes it, or a SavedModel's folder.
        dataset: whose first training images, prepared as for evaluation, are used; None: random normal ones.
        skip_damaged: leave out images of the set that do not decode.
        examples: number of images; all there are where a set has fewer.
        include_preprocessing: the model takes pixels, 0..255, and normalises them itself.
        softmax: the model ends in scores, as stock clients expect: logits get a softmax.
        seed: of random weights and images. A model without weights from a file gets BN statistics of a few images.
    """
    source = {"dataset": dataset, "data_dir": data_dir, "skip_damaged": skip_damaged}
    wanted = source | {"examples": examples, "seed": seed}
    if (Path(name) / "saved_model.pb").is_file():
        options = {"weights": weights, "include_preprocessing": include_preprocessing, "softmax": softmax}
        for option, given in options.items():
            if given:
                raise ValueError(f"{option} does not go with {os.fspath(name)!r}: a SavedModel has its own")
        return _served(name, **wanted)
    loaded = open_model(name, weights=weights)
    model, preprocessing = in_float32(loaded.model), loaded.preprocessing
    class_names = _class_names(loaded)
    if include_preprocessing and model.input_shape[-1] != 3:
        raise ValueError(
            f"include_preprocessing is for RGB images, {model.name!r} takes {model.input_shape[-1]} channels"
        )
    images = _images(model.input_shape, **wanted, preprocessing=preprocessing)
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
    inside = preprocessing if include_preprocessing else None
    finish = functools.partial(_finished, preprocessing=inside, softmax=softmax)
    scored = output_name(model) == PROBABILITIES
    finished = finish(original)
    model = finished if model is original else finish(model)
    if include_preprocessing:
        images = preprocessing.convert(images, to=preprocessing.of_pixels())
        preprocessing = preprocessing.of_pixels()
    record = {
        "model": model.name,
        "input": preprocessing.to_dict(),
        "spec": None if loaded.spec is None else loaded.spec.to_dict(),
        "output": output_name(finished),
        "class_names": class_names,
    }
    notes = [f"LET of slot {slot.slot}: {slot.reason}" for slot in slots]
    if loaded.note:
        notes.append(loaded.note)
    if not loaded.from_file:
        notes.append(f"{model.name} has random weights: none were given")
    if softmax:
        notes.append(f"{model.name} {'ends in probabilities already' if scored else 'gets a softmax'}")
    return Exportable(
        model=model,
        original=finished,
        spec=loaded.spec,
        trained=loaded.from_file,
        images=images,
        preprocessing=preprocessing,
        notes=tuple(notes),
        record=record,
    )


def _finished(model, *, preprocessing: Preprocessing | None, softmax: bool):
    """The model with a softmax after it and preprocessing before it."""
    if softmax:
        model = with_softmax(model)
    if preprocessing is None:
        return model
    return with_preprocessing(model, mean=preprocessing.mean, std=preprocessing.std)


def _class_names(loaded: LoadedModel) -> list[str] | None:
    """The model's own, or ImageNet's for weights of its 1,000 classes; None where they are not known."""
    classes = loaded.model.output_shape[-1]
    if loaded.training is not None:
        names = loaded.training.get("class_names")
        if names is not None and len(names) != classes:
            raise ValueError(f"training.json names {len(names)} classes, {loaded.model.name!r} has {classes} outputs")
        return names
    if loaded.spec is not None and loaded.from_file and classes == IMAGENET_CLASSES:
        return [name for _, name in imagenet_classes()]
    return None


def _served(path: str | os.PathLike, **wanted) -> Exportable:
    """A SavedModel, with the preprocessing that its record tells; without one, images are the data set's own."""
    served, said = ServedModel(path), read_saved_record(path)
    preprocessing, notes = None, []
    if said is not None:
        try:
            preprocessing = Preprocessing.from_dict(said.get("input"))
        except ValueError as error:
            raise ValueError(f"{path}: its record is damaged: {error}") from error
    else:
        notes.append(
            f"{path} does not say how its images are normalised: the data set's mean and standard deviation are assumed"
        )
    return Exportable(
        model=served,
        original=served,
        spec=None,
        trained=True,
        images=_images(served.input_shape, **wanted, preprocessing=preprocessing),
        preprocessing=preprocessing,
        notes=tuple(notes),
        record={"model": served.name, "output": served.output_name} | (said or {}),
    )


def _images(
    input_shape, *, dataset, data_dir, skip_damaged: bool, examples: int, seed: int, preprocessing: Preprocessing | None
) -> np.ndarray:
    _, height, width, channels = input_shape
    if dataset is None:
        images = np.random.default_rng(seed).standard_normal((examples, height, width, channels), np.float32)
        pixels = preprocessing is not None and preprocessing == preprocessing.of_pixels()
        return ASSUMED_PREPROCESSING.convert(images, to=preprocessing) if pixels else images
    settings = {} if preprocessing is None else preprocessing.settings
    settings |= {"data_dir": data_dir, "skip_damaged": skip_damaged}
    config = DataConfig(name=dataset, image_size=(height, width), **settings)
    data = open_dataset(config, splits=["train"])
    if examples >= data.num_examples["train"]:
        return data.arrays("train")[0]
    # Drawn from all classes, prepared as for evaluation: the split that a search would hold out.
    held_out = dataclasses.replace(config, search_validation=examples)
    return open_dataset(held_out, splits=["train"]).arrays("search_validation")[0]
