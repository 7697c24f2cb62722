"""Training and evaluation batches of a dataset, a pure function of seed and step."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.data import augment
from scarlet_tf.data.batches import Batches, with_workers
from scarlet_tf.data.classes import match_classes
from scarlet_tf.data.data_config import SPLITS, DataConfig, DataError
from scarlet_tf.data.decoding import Source


class ImageData:
    """A dataset with the splits "train", "search_validation", "validation" and "test".

    "search_validation" is held out of the training images; "validation" is too, or is a split of the dataset. Batches
    are (images, labels): float32 (B, H, W, 3), normalised with `mean` and `std`, and int32 (B,). Batches of pixels take
    a quarter of the bytes; a training step normalises them itself, by `normalise`.

    Attributes:
        class_names: in label order.
        num_examples: number of images by split.
        mean, std: per channel, of pixels in [0, 1].
        crop_share: share of the short side that evaluation sees.
        fingerprint: hex digest of the images, the splits and the preprocessing.
    """

    def __init__(self, config: DataConfig, source: Source) -> None:
        self.config = config
        self.class_names = source.class_names
        self.mean, self.std = config.mean or source.mean, config.std or source.std
        self.crop_share = config.crop_share or config.default_crop_share
        self._source = source
        # For each split: the source's split that holds its images, and a mask of those that belong to it (None: all).
        self._places: dict[str, tuple[str, np.ndarray | None]] = {"test": ("test", None)}
        trainable = source.num_examples("train")
        order = np.random.default_rng(config.seed).permutation(trainable)
        held_out = np.zeros(trainable, bool)
        held_out[order[: config.search_validation]] = True
        self._places["search_validation"] = ("train", held_out)
        members = ~held_out
        if isinstance(config.validation, str):
            self._places["validation"] = (config.validation, None)
        elif config.validation and trainable:
            chosen = _share_of_each_class(source.labels("train"), members, config)
            self._places["validation"] = ("train", chosen)
            members = members & ~chosen
        self._places["train"] = ("train", members)
        self.num_examples = {split: self._count(*self._places[split]) for split in SPLITS if split in self._places}

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def check_batch_size(self, batch_size: int) -> None:
        """Raise DataError unless there are as many training images as a batch has."""
        if not 1 <= batch_size <= self.num_examples["train"]:
            raise DataError(
                f"batch_size must be in 1..{self.num_examples['train']} (training images), got {batch_size}"
            )

    @property
    def validates_on_test(self) -> bool:
        """Whether the validation images are the test images, whatever their split is called."""
        home = self._places["validation"][0] if "validation" in self._places else "train"
        return home != "train" and self._source.stored_split(home) == self._source.stored_split("test")

    def _count(self, home: str, members: np.ndarray | None) -> int:
        return self._source.num_examples(home) if members is None else int(members.sum())

    def class_counts(self, split: str) -> np.ndarray:
        """Return the number of images of each class in a split, int64 (num_classes,); reads the split once."""
        home, members = self._places[split]
        labels = self._source.labels(home)
        return np.bincount(labels if members is None else labels[members], minlength=self.num_classes)

    def encoded_bytes(self, split: str) -> int:
        """Return the size of a split's encoded images; of a held-out part, its share of the images it is a part of."""
        home = self._places[split][0]
        images = self._source.num_examples(home)
        return self._source.encoded_bytes(home) * self.num_examples[split] // images if images else 0

    def outputs_of(self, split: str, model_classes: Sequence[str]) -> np.ndarray:
        """Map the labels of a split to the outputs of a model by class name, see `match_classes`."""
        used = self._source.class_counts(self._places[split][0])
        return match_classes(self.config.name, self.class_names, model_classes=model_classes, used=used)

    @functools.cached_property
    def fingerprint(self) -> str:
        return self.fingerprint_with(self.config)

    def fingerprint_with(self, config: DataConfig) -> str:
        """Return the fingerprint of the same images and splits with the preprocessing of another config."""
        counts = {split: count for split, count in self.num_examples.items() if split != "validation"}
        described = [
            *(self._source.fingerprint, self.class_names, counts),
            *(config.mean or self._source.mean, config.std or self._source.std),
            *(config.image_size, config.augment, config.search_validation, config.seed),
        ]
        if config.validation is not None:  # otherwise omitted, to match fingerprints from before this setting existed
            described.append(config.validation)
        crop_share = config.crop_share or config.default_crop_share
        if crop_share != config.default_crop_share:
            described.append(crop_share)
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    @tf.autograph.experimental.do_not_convert
    def train_batches(self, batch_size: int, *, seed: int, start_step: int = 0, rows: slice = slice(None)) -> Batches:
        """Return the batches of `train_pixels`, normalised; arguments and errors are the same."""
        pixels = self.train_pixels(batch_size, seed=seed, start_step=start_step, rows=rows)
        return pixels.map(self._normalised)

    @tf.autograph.experimental.do_not_convert
    def train_pixels(self, batch_size: int, *, seed: int, start_step: int = 0, rows: slice = slice(None)) -> Batches:
        """Return endless training batches of 8-bit pixels; the config, batch_size, seed and k determine batch k.

        Every epoch is a new permutation of the training images, without its incomplete last batch.

        Args:
            batch_size: images of a batch.
            seed: of order and augmentation.
            start_step: number of the first batch.
            rows: the rows of every batch to return; only their images are decoded. The others may be made elsewhere:
                put together, they are the batch that one call would return.

        Returns:
            Batches of augmented images, uint8 (B, H, W, 1 or 3) as the dataset has channels, and labels, int32 (B,).

        Raises:
            DataError: if batch_size is not in 1..number of training images, start_step is negative, or no rows are
                wanted.
        """
        self.check_batch_size(batch_size)
        if start_step < 0:
            raise DataError(f"start_step must be >= 0, got {start_step}")
        wanted = range(batch_size)[rows]
        if not wanted or wanted.step != 1:
            raise DataError(f"rows must be neighbours in a batch of {batch_size}, got {rows}")
        rows = slice(wanted.start, wanted.stop)
        batches, find_damaged = self._training(batch_size=batch_size, seed=seed, first_step=start_step, rows=rows)
        batches = with_workers(batches.prefetch(4), self.config.input_workers)
        return Batches(batches, find_damaged=find_damaged, batch_size=len(wanted))

    @tf.autograph.experimental.do_not_convert
    def eval_batches(
        self, split: str, batch_size: int, *, limit: int | None = None, shard: tuple[int, int] = (0, 1)
    ) -> Batches:
        """Return batches of a split in a fixed order, without augmentation; the last batch may be smaller.

        Args:
            limit: number of images, from the first; None: all.
            shard: (k, n) for the batches k, k + n, k + 2n, ... alone; only their images are decoded.

        Raises:
            DataError: for an unknown or empty split, and for batch_size or limit below 1.
        """
        if not self.num_examples.get(split):
            full = [name for name, count in self.num_examples.items() if count]
            raise DataError(f"no images in split {split!r} of {self.config.name!r}: expected one of {full}")
        if batch_size < 1 or (limit is not None and limit < 1):
            raise DataError(f"batch_size and limit must be >= 1, got {batch_size} and {limit}")
        home, members = self._places[split]
        if shard != (0, 1):
            members = self._members_of_shard(split, batch_size, limit=limit, shard=shard)
        fitted, find_damaged = self._fitted(home, members, limit=limit)
        batches = fitted.batch(batch_size).map(self._normalised, num_parallel_calls=2).prefetch(4)
        batches = with_workers(batches, self.config.input_workers)
        return Batches(batches, find_damaged=find_damaged, batch_size=batch_size)

    def _members_of_shard(
        self, split: str, batch_size: int, *, limit: int | None, shard: tuple[int, int]
    ) -> np.ndarray:
        """Return a mask of the images in the batches k, k + n, k + 2n, ... for shard (k, n)."""
        home, members = self._places[split]
        mask = np.ones(self._source.num_examples(home), bool) if members is None else members.copy()
        images = np.flatnonzero(mask)[:limit]
        first, step = shard
        mask[:] = False
        mask[images[np.arange(len(images)) // batch_size % step == first]] = True
        return mask

    def sample_batches(self, batch_size: int, *, limit: int) -> Iterator[tf.Tensor]:
        """Yield up to `limit` training images, drawn at random by the config's seed, without augmentation.

        The batches, float32 (B, H, W, 3), are shuffled and differ in size by at most one image, up to `batch_size`.
        They serve to measure batch statistics, which images in class order would distort.
        """
        rng = np.random.default_rng([self.config.seed, 1])
        home, members = self._places["train"]
        chosen = np.zeros(len(members), bool)
        chosen[rng.permutation(np.flatnonzero(members))[:limit]] = True
        fitted, find_damaged = self._fitted(home, chosen)
        singly = with_workers(fitted, self.config.input_workers)
        singly = Batches(singly, find_damaged=find_damaged).as_numpy_iterator()
        images = np.stack([image for image, _ in singly])
        for part in np.array_split(rng.permutation(len(images)), -(-len(images) // batch_size)):
            yield self.normalise(tf.constant(images[part]))

    def arrays(self, split: str, *, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return all images of `eval_batches` as arrays: images (N, H, W, 3) float32, labels (N,) int32."""
        batches = list(self.eval_batches(split, 500, limit=limit).as_numpy_iterator())
        images, labels = zip(*batches, strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def normalise(self, pixels: tf.Tensor) -> tf.Tensor:
        """Return the images of pixels (B, H, W, 1 or 3), 0 to 255: float32 (B, H, W, 3)."""
        return augment.normalise(pixels, mean=self.mean, std=self.std)

    def _normalised(self, pixels, labels):
        return self.normalise(pixels), labels


def _share_of_each_class(labels: np.ndarray, members: np.ndarray, config: DataConfig) -> np.ndarray:
    """Return a mask over `labels` of the images among `members` to hold out, see `DataConfig.validation`."""
    rng = np.random.default_rng([config.seed, 0])
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels[members]):
        own = rng.permutation(np.flatnonzero(members & (labels == label)))
        count = min(max(1, round(config.validation * len(own))), len(own) - 1)
        chosen[own[:count]] = True
    if not chosen.any():
        raise DataError(
            f"validation={config.validation} holds out no images: {config.name!r} has only one image of each class"
        )
    return chosen
