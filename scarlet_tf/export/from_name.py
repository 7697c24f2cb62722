"""Resolution of a model's name or path into what the exporters need: the model, calibration images and a record."""

from __future__ import annotations

import dataclasses
import functools
import os
import re

import numpy as np

from scarlet_tf.arch import ArchSpec
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.export.ends import PROBABILITIES, output_name, with_preprocessing, with_softmax
from scarlet_tf.export.fold import SlotReport, fold_model
from scarlet_tf.export.policy import float32_policy, in_float32
from scarlet_tf.export.saved_model import read_saved_record
from scarlet_tf.export.served import ServedModel
from scarlet_tf.models import measure_batch_norms
from scarlet_tf.paths import local_copy
from scarlet_tf.zoo import ASSUMED_PREPROCESSING, LoadedModel, Preprocessing, open_model
from scarlet_tf.zoo.labels import IMAGENET_CLASSES, imagenet_classes

_PIXELS = (0.0, 255.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exportable:
    """A model ready for export.

    Attributes:
        model: a Keras model in float32, its LETs folded where that is exact, or a ServedModel.
        original: the same model before folding.
        spec: of the original; None for a .keras file or a SavedModel, which do not contain it.
        trained: whether the weights came from a file; else they are random.
        images: float32 (n, H, W, C), preprocessed for the model, for calibration and comparison.
        preprocessing: that the model expects; None for a SavedModel that does not record it.
        notes: lines for the user: what happened to every LET, whether the weights are random, and what is assumed.
        record: metadata for the exported file; its "input" is the preprocessing, if known.
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
        """Minimum and maximum input of a model that takes pixels; None for others: only images show their range."""
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
    """Open a model and prepare it for export.

    A model without weights from a file gets the BN statistics of a few images.

    Args:
        name: as `zoo.open_model` takes it, or a SavedModel folder.
        weights: as `zoo.open_model` takes them.
        dataset: dataset whose training images are used, preprocessed as for evaluation; None for random normal images.
        data_dir: folder of the datasets.
        skip_damaged: skip images of the dataset that cannot be decoded.
        examples: number of images; a dataset with fewer is used whole.
        include_preprocessing: make the model take pixels, 0..255, and normalise them itself.
        softmax: make the model end in probabilities, as stock clients expect: logits get a softmax.
        seed: of random images; random weights follow Keras's global seed.

    Raises:
        ValueError: for options that the model does not allow, or damaged metadata; and as `zoo.open_model`.

    Example:
        >>> source = prepare("scarlet_a", softmax=True)
        >>> source.record["output"]
        'probabilities'
    """
    source = {"dataset": dataset, "data_dir": data_dir, "skip_damaged": skip_damaged}
    wanted = source | {"examples": examples, "seed": seed}
    if (local_copy(name) / "saved_model.pb").is_file():
        options = {"weights": weights, "include_preprocessing": include_preprocessing, "softmax": softmax}
        for option, given in options.items():
            if given:
                raise ValueError(f"{option} cannot be set for {os.fspath(name)!r}: a SavedModel has its own")
        return _served(local_copy(name), **wanted)
    loaded = open_model(name, weights=weights)
    model, preprocessing = in_float32(loaded.model), loaded.preprocessing
    class_names = _class_names(loaded)
    if include_preprocessing and model.input_shape[-1] != 3:
        raise ValueError(
            f"include_preprocessing needs RGB images, but {model.name!r} has {model.input_shape[-1]} input channels"
        )
    images = _images(model.input_shape, **wanted, preprocessing=preprocessing)
    if not loaded.from_file:
        measure_batch_norms(model, [images[:8]])
    slots = ()
    original = model
    if loaded.spec is not None and any(block.kind == "let" for block in loaded.spec.blocks):
        model, result = fold_model(model, loaded.spec)
        slots = result.slots
    elif loaded.spec is None:
        kept = "kept: a .keras file alone does not record what can be folded; export its folder instead"
        lets = (re.fullmatch(r"block(\d+)_let", layer.name) for layer in model.layers)
        slots = tuple(SlotReport(slot=int(let[1]), action="kept", reason=kept) for let in lets if let)
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
        notes.append(f"{model.name} has random weights, as no weight file was given")
    if softmax:
        notes.append(f"{model.name} {'already ends in probabilities' if scored else 'gets a softmax'}")
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
    """Return the model with a softmax after it and preprocessing before it, where asked for."""
    if softmax:
        model = with_softmax(model)
    if preprocessing is None:
        return model
    return with_preprocessing(model, mean=preprocessing.mean, std=preprocessing.std)


def _class_names(loaded: LoadedModel) -> list[str] | None:
    """Return the model's class names, or ImageNet's for weights of its 1,000 classes; None if they are not known."""
    classes = loaded.model.output_shape[-1]
    if loaded.training is not None:
        names = loaded.training.get("class_names")
        if names is not None and len(names) != classes:
            raise ValueError(
                f"training.json names {len(names)} classes, but {loaded.model.name!r} has {classes} outputs"
            )
        return names
    if loaded.spec is not None and loaded.from_file and classes == IMAGENET_CLASSES:
        return [name for _, name in imagenet_classes()]
    return None


def _served(path: str | os.PathLike, **wanted) -> Exportable:
    """Prepare a SavedModel, with the preprocessing in its record, or else the dataset's normalisation."""
    served, said = ServedModel(path), read_saved_record(path)
    if served.input_shape[0] not in (None, 1):
        raise ValueError(
            f"{path} takes batches of {served.input_shape[0]} images: export it again with another batch size, 1 or any"
        )
    preprocessing, notes = None, []
    if said is not None:
        try:
            preprocessing = Preprocessing.from_dict(said.get("input"))
        except ValueError as error:
            raise ValueError(f"{path}: its record is damaged: {error}") from error
    else:
        notes.append(
            f"{path} does not record how its images are normalised: assuming the dataset's mean and standard deviation"
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
    if None in (height, width):
        raise ValueError(
            f"the model takes images of any size, {height} x {width}: expected one with a fixed size, see input_shape"
        )
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
    # The split that a search would hold out: drawn from all classes, preprocessed as for evaluation.
    held_out = dataclasses.replace(config, search_validation=examples)
    return open_dataset(held_out, splits=["train"]).arrays("search_validation")[0]
