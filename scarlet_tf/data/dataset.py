"""Training and evaluation batches of a dataset, a pure function of seed and step."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.data import augment
from scarlet_tf.data.classes import DataWarning, check_classes, match_classes
from scarlet_tf.data.data_config import SPLITS, DataConfig, DataError
from scarlet_tf.data.decoding import decode, decoded_arrays, first_damaged, open_source
from scarlet_tf.data.source import Source

# Datasets whose decoded images take more are streamed from disk; smaller ones are held in memory.
MEMORY_LIMIT_BYTES = 500_000_000
# Number of encoded images, for streamed datasets. Prepared datasets are stored shuffled already.
SHUFFLE_BUFFER = 16_384
_MOST_NAMED = 5  # files or folders in a warning

FindDamaged = Callable[[int, int], DataError | None]


def open_dataset(config: DataConfig, *, splits: Collection[str] | None = None) -> ImageData:
    """Open a dataset, after downloading and preparing it if necessary.

    Args:
        config: the dataset and its preprocessing.
        splits: splits that will be used. Other splits may lack images, and classes are compared only between used
            splits. None: all that training uses: "train", "test", and a split that `config.validation` names.

    Returns:
        The dataset, held in memory if it is small and needs its original images neither for augmentation nor for the
        crop of evaluation, else streamed.

    Raises:
        DataError: if the config does not fit the dataset, or a used split has no images.

    Example:
        >>> data = open_dataset(DataConfig(name="folder:flowers", image_size=64))
        >>> images, labels = next(iter(data.eval_batches("test", 32)))
    """
    source, left_out = open_source(config)
    _warn_of_oddities(source, left_out)
    home_of = {"search_validation": "train", "validation": "train"}
    if isinstance(config.validation, str):
        home_of["validation"] = config.validation
    used = source.splits if splits is None else sorted({home_of.get(split, split) for split in splits})
    for split in used:
        if not source.num_examples(split):
            raise DataError(source.describe_missing(split))
    train = source.num_examples("train")
    if train and config.search_validation >= train:
        raise DataError(
            f"search_validation must be smaller than the {train} training images of {config.name!r}, "
            f"got {config.search_validation}"
        )
    if {"train", "test"} <= set(used):
        check_classes(config.name, {split: source.class_counts(split) for split in used})
    height, width = config.image_shape
    decoded_bytes = sum(map(source.num_examples, source.splits)) * height * width * source.channels
    cropped = (config.crop_share or config.default_crop_share) < 1
    if config.augment == "inception" or cropped or decoded_bytes > MEMORY_LIMIT_BYTES:
        return StreamedImages(config, source)
    return ImagesInMemory(config, source)


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


def _warn_of_oddities(source: Source, left_out: Sequence[str]) -> None:
    for one, many, names in (
        ("damaged image", "damaged images", left_out),
        ("class folder without images", "class folders without images", source.empty_classes),
        ("image outside class folders", "images outside class folders", source.strays),
    ):
        if names:
            what = one if len(names) == 1 else many
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            warnings.warn(
                f"left out of {source.name!r}: {len(names)} {what}: {', '.join(names[:_MOST_NAMED])}{more}",
                DataWarning,
                stacklevel=1,
            )


class Batches:
    """Batches of images, which can be iterated over any number of times, like a tf.data.Dataset.

    A damaged image ends the iteration with a DataError that names it.

    Attributes:
        dataset: the wrapped tf.data.Dataset. Its own iterators raise TensorFlow's errors, which name no file.
    """

    def __init__(self, dataset: tf.data.Dataset, *, find_damaged: FindDamaged, batch_size: int | None = None) -> None:
        """Wrap a dataset.

        Args:
            dataset: the tf.data.Dataset to wrap.
            find_damaged: called with (first, count), returns the error for the first damaged image among `count` images
                from number `first` on, or None if all decode.
            batch_size: images per batch; None: the dataset yields single images.
        """
        self.dataset = dataset
        self._find_damaged = find_damaged
        self._batch_size = batch_size

    def __iter__(self) -> Iterator:
        return self.naming_damaged(iter(self.dataset))

    def take(self, count: int) -> Batches:
        """Return the first `count` batches."""
        return Batches(self.dataset.take(count), find_damaged=self._find_damaged, batch_size=self._batch_size)

    def as_numpy_iterator(self) -> Iterator:
        """Iterate over the batches as NumPy arrays."""
        return self.naming_damaged(self.dataset.as_numpy_iterator())

    def naming_damaged(self, iterator: Iterator) -> Iterator:
        """Iterate over `iterator`, which was made from `dataset`, and name damaged images in errors."""
        size = self._batch_size or 1
        for number in itertools.count():
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except tf.errors.OpError as error:
                if damaged := self._find_damaged(number * size, size):
                    raise damaged from error
                raise
            yield batch


class ImageData:
    """A dataset with the splits "train", "search_validation", "validation" and "test".

    "search_validation" is held out of the training images; "validation" is too, or is a split of the dataset. Batches
    are (images, labels): float32 (B, H, W, 3), normalised with `mean` and `std`, and int32 (B,).

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

    def _count(self, home: str, members: np.ndarray | None) -> int:
        return self._source.num_examples(home) if members is None else int(members.sum())

    def class_counts(self, split: str) -> np.ndarray:
        """Return the number of images of each class in a split, int64 (num_classes,); reads the split once."""
        home, members = self._places[split]
        labels = self._source.labels(home)
        return np.bincount(labels if members is None else labels[members], minlength=self.num_classes)

    def outputs_of(self, split: str, model_classes: Sequence[str]) -> np.ndarray:
        """Map the labels of a split to the outputs of a model by class name, see `match_classes`."""
        used = self._source.class_counts(self._places[split][0])
        return match_classes(self.config.name, self.class_names, model_classes=model_classes, used=used)

    @functools.cached_property
    def fingerprint(self) -> str:
        config = self.config
        counts = {split: count for split, count in self.num_examples.items() if split != "validation"}
        described = [
            *(self._source.fingerprint, self.class_names, counts, self.mean, self.std),
            *(config.image_size, config.augment, config.search_validation, config.seed),
        ]
        if config.validation is not None:  # otherwise omitted, to match fingerprints from before this setting existed
            described.append(config.validation)
        if self.crop_share != config.default_crop_share:
            described.append(self.crop_share)
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    @tf.autograph.experimental.do_not_convert
    def train_batches(self, batch_size: int, *, seed: int, start_step: int = 0) -> Batches:
        """Return endless training batches; batch k depends only on the config, batch_size, seed and k.

        Every epoch is a new permutation of the training images, without its incomplete last batch.

        Args:
            start_step: number of the first batch.

        Raises:
            DataError: if batch_size is not in 1..number of training images, or start_step is negative.
        """
        steps = self.num_examples["train"] // batch_size if batch_size > 0 else 0
        if not steps:
            raise DataError(
                f"batch_size must be in 1..{self.num_examples['train']} (training images), got {batch_size}"
            )
        if start_step < 0:
            raise DataError(f"start_step must be >= 0, got {start_step}")
        epoch, done = divmod(start_step, steps)
        epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
        batches, find_damaged = self._epochs(epochs, batch_size=batch_size, steps=steps, seed=seed, done=done)
        return Batches(batches.prefetch(4), find_damaged=find_damaged, batch_size=batch_size)

    @tf.autograph.experimental.do_not_convert
    def eval_batches(self, split: str, batch_size: int, *, limit: int | None = None) -> Batches:
        """Return batches of a split in a fixed order, without augmentation; the last batch may be smaller.

        Args:
            limit: number of images, from the first; None: all.

        Raises:
            DataError: for an unknown or empty split, and for batch_size or limit below 1.
        """
        if not self.num_examples.get(split):
            full = [name for name, count in self.num_examples.items() if count]
            raise DataError(f"no images in split {split!r} of {self.config.name!r}: expected one of {full}")
        if batch_size < 1 or (limit is not None and limit < 1):
            raise DataError(f"batch_size and limit must be >= 1, got {batch_size} and {limit}")
        fitted, find_damaged = self._fitted(*self._places[split], limit=limit)
        batches = fitted.batch(batch_size).map(self._normalised, num_parallel_calls=2).prefetch(4)
        return Batches(batches, find_damaged=find_damaged, batch_size=batch_size)

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
        singly = Batches(fitted, find_damaged=find_damaged).as_numpy_iterator()
        images = np.stack([image for image, _ in singly])
        for part in np.array_split(rng.permutation(len(images)), -(-len(images) // batch_size)):
            yield augment.normalise(tf.constant(images[part]), mean=self.mean, std=self.std)

    def arrays(self, split: str, *, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return all images of `eval_batches` as arrays: images (N, H, W, 3) float32, labels (N,) int32."""
        batches = list(self.eval_batches(split, 500, limit=limit).as_numpy_iterator())
        images, labels = zip(*batches, strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def _normalised(self, images, labels):
        return augment.normalise(images, mean=self.mean, std=self.std), labels


class ImagesInMemory(ImageData):
    """A small dataset, decoded once into one uint8 array, which every epoch indexes by a permutation."""

    def __init__(self, config: DataConfig, source: Source) -> None:
        super().__init__(config, source)
        self._decoded: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def _epochs(self, epochs, *, batch_size: int, steps: int, seed: int, done: int):
        images, labels = (tf.constant(array) for array in self._array("train"))
        members = tf.constant(np.flatnonzero(self._places["train"][1]).astype(np.int32))
        size, channels = self.config.image_shape, self._source.channels
        if self.config.augment == "flip_crop":
            images = augment.zero_pad(images)
            images = tf.reshape(images, (-1, images.shape[2] * channels))

        def permuted(epoch):
            order = tf.random.experimental.stateless_shuffle(members, tf.stack([seed, epoch]), alg="philox")
            indices = tf.reshape(order[: steps * batch_size], (steps, batch_size))
            numbers = epoch * steps + tf.range(steps, dtype=tf.int64)
            return tf.data.Dataset.from_tensor_slices((indices, numbers))

        def batch(indices, number):
            indices = tf.ensure_shape(indices, (batch_size,))
            place = tf.stack([seed, number])
            if self.config.augment == "flip_crop":
                chosen = augment.flip_crop_rows(images, indices, place, size=size, channels=channels)
            else:
                chosen = tf.gather(images, indices)
            if self.config.augment == "flips":
                chosen = augment.flips(chosen, place)
            return self._normalised(chosen, tf.gather(labels, indices))

        batches = epochs.flat_map(permuted).skip(done).map(batch, num_parallel_calls=2, deterministic=True)
        return batches, _none_is_damaged

    @tf.autograph.experimental.do_not_convert
    def _fitted(self, home: str, members: np.ndarray | None, *, limit: int | None = None):
        rows = (np.arange(self._source.num_examples(home)) if members is None else np.flatnonzero(members))[:limit]
        return tf.data.Dataset.from_tensor_slices(self._rows(home, rows)), _none_is_damaged

    def _rows(self, home: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return some images and labels of a split; fewer than half are decoded without the others."""
        if home not in self._decoded and 2 * len(rows) < self._source.num_examples(home):
            return decoded_arrays(self._source, home, size=self.config.image_shape, rows=rows)
        images, labels = self._array(home)
        return images[rows], labels[rows]

    def _array(self, home: str) -> tuple[np.ndarray, np.ndarray]:
        if home not in self._decoded:
            self._decoded[home] = decoded_arrays(self._source, home, size=self.config.image_shape)
        return self._decoded[home]


class StreamedImages(ImageData):
    """A large dataset, or one that needs its original images: read, decoded and augmented on the fly."""

    def _epochs(self, epochs, *, batch_size: int, steps: int, seed: int, done: int):
        size, elements = self.config.image_shape, self._elements(*self._places["train"])

        def permuted(epoch):
            # Sets the seed of this function's graph only. Otherwise the order would depend on the process's global
            # seed, and a global seed of 0 would fail.
            tf.random.set_seed(1)
            shuffle_seed = tf.random.stateless_uniform((), [seed, epoch], None, None, tf.int64, alg="philox")
            order = elements.shuffle(SHUFFLE_BUFFER, seed=shuffle_seed, reshuffle_each_iteration=False)
            numbers = epoch * steps * batch_size + tf.range(steps * batch_size, dtype=tf.int64)
            return tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(numbers), order)

        def example(number, element):
            encoded, label = self._source.read(*element)
            image = decode(encoded, channels=self._source.channels)
            if self.config.augment == "inception":
                image = augment.inception_crop(image, tf.stack([seed, number]), size=size)
            else:
                image = augment.fit(image, size)
            return image, label, number

        def batch(images, labels, numbers):
            place = tf.stack([seed, numbers[0] // batch_size])
            if self.config.augment == "flip_crop":
                images = augment.flip_crop(images, place)
            elif self.config.augment == "flips":
                images = augment.flips(images, place)
            return self._normalised(images, labels)

        order = epochs.flat_map(permuted).skip(done * batch_size)
        images = order.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        batches = images.batch(batch_size, drop_remainder=True).map(batch)
        return batches, self._finder("train", order.map(lambda _, element: element))

    def _elements(self, home: str, members: np.ndarray | None) -> tf.data.Dataset:
        elements = self._source.elements(home)
        if members is None:
            return elements
        wanted = tf.constant(members)
        return elements.enumerate().filter(lambda index, _: wanted[index]).map(lambda _, element: element)

    @tf.autograph.experimental.do_not_convert
    def _fitted(self, home: str, members: np.ndarray | None, *, limit: int | None = None):
        elements = self._elements(home, members).take(-1 if limit is None else limit)
        size, share = self.config.image_shape, self.crop_share

        def example(*element):
            encoded, label = self._source.read(*element)
            image = decode(encoded, channels=self._source.channels)
            return augment.fit(image, size) if share == 1 else augment.centre_crop(image, size, share=share), label

        return elements.map(example, num_parallel_calls=tf.data.AUTOTUNE), self._finder(home, elements)

    def _finder(self, home: str, elements: tf.data.Dataset) -> FindDamaged:
        """Return a function that finds damaged images among `elements`, in the order of their use."""
        return lambda first, count: first_damaged(self._source, home, elements.skip(first).take(count))


def _none_is_damaged(first: int, count: int) -> None:
    """Return None: images in memory are decoded already."""
