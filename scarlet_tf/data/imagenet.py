"""Preparation of ImageNet (ILSVRC 2012) for tensorflow-datasets from the two tars that image-net.org offers.

Afterwards `tfds.builder("imagenet2012", data_dir=...)` reads it like a dataset that tensorflow-datasets prepared as
array_record. tensorflow-datasets itself starts again from nothing when it is stopped, and keeps all images twice while
it shuffles them. This module draws the place of every image first, so that each file of the dataset can be written on
its own: a file that is there is whole, and preparing resumes with the next one.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scarlet_tf.data.data_config import PREPARED_LOCALLY, DataError, default_data_dir
from scarlet_tf.data.imagenet_tars import TarImages, find_tars, list_images
from scarlet_tf.files import expand_user, locked_folder, replaced_whole, write_atomically
from scarlet_tf.paths import check_local
from scarlet_tf.progress import progress

NAME = "imagenet2012"
_FEWEST_IN_SHARD = 250
_MOST_SHARDS = 256  # as many files are open while a split is read; systems allow 1,024
_AT_ONCE = 64  # records that are read in one go
_TARS = "tars.json"  # what the dataset is made from
_AGAIN = "delete the folder and prepare it again"


def imagenet_disk_need(tars: str | os.PathLike, data_dir: str | os.PathLike | None = None) -> str:
    """Describe how much disk preparing takes and how much is free; raise DataError if that is not enough.

    Args:
        tars: folder with the two tars.
        data_dir: see `prepare_imagenet`.
    """
    folder = _dataset_folder(data_dir)
    if any(folder.glob("[0-9]*/dataset_info.json")):
        return f"{folder} is prepared already and takes no more disk"
    # An image takes about 250 bytes more than its file, and in a tar about 770 more: the tars are an upper bound.
    needed = sum(path.stat().st_size for path in find_tars(tars).values())
    written = sum(path.stat().st_size for path in folder.glob("*/*.array_record*") if path.is_file())
    free = shutil.disk_usage(next(above for above in folder.absolute().parents if above.exists())).free
    text = (
        f"{folder} takes {_gigabytes(needed)}, of which {_gigabytes(written)} are written; {_gigabytes(free)} are free"
    )
    if needed - written > free:
        raise DataError(f"not enough disk: {text}")
    return text


def prepare_imagenet(
    tars: str | os.PathLike, data_dir: str | os.PathLike | None = None, *, check_images: int = 1000
) -> dict[str, int]:
    """Prepare ImageNet under `data_dir`, or resume, and check it; a dataset that is there already is only checked.

    Args:
        tars: folder with ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar.
        data_dir: folder for tensorflow-datasets; None: `default_data_dir()`.
        check_images: number of images, drawn at random, to decode and to compare with the tars. The numbers of images
            by split and class are always checked.

    Returns:
        The number of images by split.

    Raises:
        DataError: if the tars are not whole, or the dataset does not agree with them.
        FolderInUseError: if another process is preparing the dataset.
    """
    import tensorflow_datasets as tfds

    folder = _dataset_folder(data_dir)
    with locked_folder(folder):
        builder = tfds.builder(NAME, data_dir=str(folder.parent))
        prepared = Path(builder.data_path).exists() and builder.is_prepared()
        if prepared and builder.info.file_format.value != "array_record":
            raise DataError(
                f"{builder.data_path} holds ImageNet as {builder.info.file_format.value}, which is read in one order "
                "only: move it away to prepare array_record, or use it as it is"
            )
        images = list_images(
            find_tars(tars),
            builder.info.features["label"].names,
            tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt").read_text().split(),
        )
        if prepared:
            _check(Path(builder.data_path), builder, images, check_images=check_images)
        else:
            unfinished = folder / f"unfinished-{builder.version}"
            builder = tfds.builder(NAME, data_dir=str(folder.parent), file_format="array_record")
            _write(unfinished, builder, images)
            _check(unfinished, builder, images, check_images=check_images)
            _describe(unfinished, builder, images)
            unfinished.rename(builder.data_path)
    return {split: len(own) for split, own in images.items()}


def _dataset_folder(data_dir: str | os.PathLike | None) -> Path:
    data_dir = expand_user(data_dir) if data_dir else default_data_dir()
    check_local(data_dir, why=PREPARED_LOCALLY)
    return data_dir / NAME


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB"


def _write(folder: Path, builder, images: dict[str, TarImages]) -> None:
    """Write the files of the dataset that are not there yet."""
    made_from = json.dumps({split: own.digest() for split, own in images.items()})
    if (folder / _TARS).is_file() and (folder / _TARS).read_text() != made_from:
        raise DataError(f"{folder} was begun from other tars: use those, or delete it")
    for stale in folder.glob(".*"):  # what a process was writing when it was killed
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    write_atomically(folder / _TARS, made_from)
    missing = [shard for shard in _shards(folder, images) if not shard[0].exists()]
    total = sum(len(members) for _, _, members in missing)
    with progress(label="write", unit="image", total=total) as bar:
        for path, split, members in missing:
            with replaced_whole(path) as temporary, images[split].path.open("rb") as tar:
                _write_shard(temporary, builder, images[split], members, tar=tar, bar=bar)


def _shards(folder: Path, images: dict[str, TarImages]) -> Iterator[tuple[Path, str, np.ndarray]]:
    """Yield (path, split, numbers of the images in their order) of every file of the dataset."""
    for split, own in images.items():
        count = min(_MOST_SHARDS, -(-len(own) // _FEWEST_IN_SHARD))
        for number, members in enumerate(np.array_split(np.random.default_rng(0).permutation(len(own)), count)):
            yield folder / f"{NAME}-{split}.array_record-{number:05}-of-{count:05}", split, members


def _write_shard(path: Path, builder, images: TarImages, members: np.ndarray, *, tar, bar) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    encoded = {number: images.read(tar, number) for number in np.sort(members)}  # in the order of the disk
    writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")  # JPEG files are compressed already
    for number in members:
        writer.write(_example(builder, images, number, encoded.pop(number)))
        bar.update()
    writer.close()


def _example(builder, images: TarImages, number: int, encoded: bytes) -> bytes:
    return builder.info.features.serialize_example(
        {
            "file_name": images.names[number].decode(),
            "image": _as_stored(builder, images, number, encoded),
            "label": int(images.labels[number]),
        }
    )


def _as_stored(builder, images: TarImages, number: int, encoded: bytes) -> io.BytesIO:
    """Return an encoded image as tensorflow-datasets stores it: the few that are PNG or CMYK become RGB JPEG."""
    return builder._fix_image(images.names[number].decode(), io.BytesIO(encoded))


def _describe(folder: Path, builder, images: dict[str, TarImages]) -> None:
    """Write the files by which tensorflow-datasets recognises a prepared dataset."""
    from tensorflow_datasets.core import splits

    found = {split: ([], []) for split in images}
    for path, split, members in _shards(folder, images):
        found[split][0].append(len(members))
        found[split][1].append(path.stat().st_size)
    infos = [
        splits.SplitInfo(name=split, shard_lengths=lengths, num_bytes=sum(sizes), filename_template=None)
        for split, (lengths, sizes) in found.items()
    ]
    builder.info.set_splits(splits.SplitDict(infos))
    builder.info.write_to_directory(folder)


def _check(folder: Path, builder, images: dict[str, TarImages], *, check_images: int) -> None:
    """Read the whole dataset; raise DataError unless it holds the images of the tars.

    The images are counted by class, and `check_images` of them are decoded and compared with the tars.
    """
    import tensorflow as tf

    total = sum(map(len, images.values()))
    drawn = np.split(np.random.default_rng(0).permutation(total) < check_images, [len(images["train"])])
    classes = builder.info.features["label"].names
    with progress(label="check", unit="image", total=total) as bar:
        for (split, own), in_sample in zip(images.items(), drawn, strict=True):
            found, by_name = [], np.argsort(own.names)
            with own.path.open("rb") as tar:
                for record in _records(folder, split):
                    features = tf.train.Example.FromString(record).features.feature
                    if len(found) < len(own) and in_sample[len(found)]:
                        name, image = (features[part].bytes_list.value[0] for part in ("file_name", "image"))
                        number = by_name[np.searchsorted(own.names, name, sorter=by_name) % len(own)]
                        as_in_tar = _as_stored(builder, own, number, own.read(tar, number)).read()
                        if own.names[number] != name or as_in_tar != image:
                            raise DataError(f"{folder}: {name.decode()} is not the image in {own.path}: {_AGAIN}")
                        _check_decodes(image, what=f"{name.decode()} in {own.path}")
                    found.append(features["label"].int64_list.value[0])
                    bar.update()
            _check_counts(f"{folder}: {split}", np.array(found), own, classes)


def _records(folder: Path, split: str) -> Iterator[bytes]:
    """Yield the serialized examples of a split in their order."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    for path in sorted(folder.glob(f"{NAME}-{split}.array_record-*")):
        try:
            records = ArrayRecordDataSource([str(path)])
            for start in range(0, len(records), _AT_ONCE):
                yield from records.__getitems__(range(start, min(start + _AT_ONCE, len(records))))
        except (RuntimeError, ValueError, IndexError) as error:
            raise DataError(f"{path} is damaged ({error}): {_AGAIN}") from error


def _check_decodes(encoded: bytes, *, what: str) -> None:
    import tensorflow as tf

    try:
        tf.io.decode_jpeg(encoded, channels=3)
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"{what} cannot be decoded: {error.message}") from error


def _check_counts(what: str, found: np.ndarray, images: TarImages, classes: list[str]) -> None:
    if len(found) != len(images):
        raise DataError(f"{what} has {len(found):,} images, and {images.path} {len(images):,}: {_AGAIN}")
    counts, expected = (np.bincount(labels, minlength=len(classes)) for labels in (found, images.labels))
    if different := [label for label in range(len(classes)) if counts[label] != expected[label]]:
        first = different[0]
        raise DataError(
            f"{what} has {counts[first]} images of {classes[first]}, and {images.path} {expected[first]}: {_AGAIN}"
        )
