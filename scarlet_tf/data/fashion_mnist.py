"""Preparation of Fashion-MNIST for tensorflow-datasets from Debian's package `dataset-fashion-mnist`.

The package holds the dataset's four gzipped IDX files. tensorflow-datasets would download the same files, but rejects
Debian's because their gzip headers lack the file name. So this module checks their content itself and passes them to
the builder of tensorflow-datasets. Afterwards `tfds.load("fashion_mnist", data_dir=..., download=False)` works.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from scarlet_tf.data.data_config import PREPARED_LOCALLY, DataError, default_data_dir
from scarlet_tf.files import expand_user, waiting_lock
from scarlet_tf.paths import check_local

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
NUM_EXAMPLES = {"train": 60_000, "test": 10_000}

# SHA-256 of the uncompressed files, which are the same in Debian's and the authors' archives.
_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def prepare_fashion_mnist(data_dir: str | os.PathLike | None = None) -> Path:
    """Prepare Fashion-MNIST under `data_dir`, unless it is there already.

    Takes the files from the installed Debian package, else from `apt-get download` (no root needed), else lets
    tensorflow-datasets download them. Several processes may call this at once: one works, the others wait.

    Args:
        data_dir: folder for tensorflow-datasets; None: `default_data_dir()`.

    Returns:
        The folder of the prepared dataset.

    Raises:
        DataError: if no source can be reached, or the images and labels are not the expected 60,000 + 10,000.
    """
    import tensorflow_datasets as tfds

    data_dir = expand_user(data_dir) if data_dir else default_data_dir()
    check_local(data_dir, why=PREPARED_LOCALLY)
    with waiting_lock(data_dir / ".fashion_mnist.lock"), tempfile.TemporaryDirectory(prefix="fashion_mnist-") as work:
        builder = tfds.builder("fashion_mnist", data_dir=str(data_dir))
        if not builder.is_prepared():
            if files := _debian_files(Path(work)):
                _local_builder(files, data_dir=data_dir).download_and_prepare()
            else:
                _download(builder)
            builder = tfds.builder("fashion_mnist", data_dir=str(data_dir))
            _check_labels(builder)
        counts = {name: split.num_examples for name, split in builder.info.splits.items()}
        if counts != NUM_EXAMPLES:
            raise DataError(f"{builder.data_path}: expected {NUM_EXAMPLES} images, found {counts}; delete it and retry")
        return Path(builder.data_path)


def _debian_files(work: Path) -> Path | None:
    """Return a folder with the four uncompressed, checked IDX files, or None if the package is not available."""
    source = INSTALLED if INSTALLED.is_dir() else _unpacked_package(work)
    if source is None:
        return None
    target = work / "idx"
    target.mkdir()
    for name, expected in _FILES.items():
        with gzip.open(source / f"{name}.gz", "rb") as packed, (target / name).open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        found = hashlib.sha256((target / name).read_bytes()).hexdigest()
        if found != expected:
            raise DataError(f"{source / name}.gz: expected content with SHA-256 {expected}, got {found}")
    return target


def _unpacked_package(work: Path) -> Path | None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    download = ["apt-get", "download", "--quiet", PACKAGE]
    # The package lists may be missing (as in a fresh container); only root can fetch them.
    if not _succeeds(download, cwd=work) and not (
        os.geteuid() == 0 and _succeeds(["apt-get", "update", "--quiet"], cwd=work) and _succeeds(download, cwd=work)
    ):
        return None
    packages = list(work.glob(f"{PACKAGE}_*.deb"))
    if not packages or not _succeeds(["dpkg-deb", "-x", str(packages[0]), "root"], cwd=work):
        return None
    return work / "root" / INSTALLED.relative_to("/")


def _succeeds(command: list[str], *, cwd: Path) -> bool:
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, timeout=300, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _local_builder(files: Path, *, data_dir: Path):
    """Return the builder of tensorflow-datasets, with its name and version, that reads its downloads from `files`."""
    from tensorflow_datasets.image_classification import mnist

    class LocalDownloads:
        def download_and_extract(self, urls: dict[str, str]) -> dict[str, str]:
            return {key: str(files / url.rsplit("/", 1)[-1].removesuffix(".gz")) for key, url in urls.items()}

    class FashionMNIST(mnist.FashionMNIST, skip_registration=True):
        def _split_generators(self, dl_manager):
            return super()._split_generators(LocalDownloads())

    return FashionMNIST(data_dir=str(data_dir))


def _download(builder) -> None:
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise DataError(
            f"Fashion-MNIST can be downloaded neither from Debian's package {PACKAGE!r} (apt-get download) nor from "
            f"its own server: {type(error).__name__}: {error}"
        ) from error


def _check_labels(builder) -> None:
    import tensorflow_datasets as tfds

    for split, count in NUM_EXAMPLES.items():
        examples = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
        labels = [int(example["label"]) for example in examples.as_numpy_iterator()]
        histogram = np.bincount(labels, minlength=10).tolist()
        if histogram != [count // 10] * 10:
            raise DataError(f"{builder.data_path}: expected {count // 10} {split} images per class, found {histogram}")
