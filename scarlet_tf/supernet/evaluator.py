"""One-shot accuracy on held-out images, as a `scarlet_tf.search.Evaluator`, and that of random paths."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from scarlet_tf.data import open_dataset
from scarlet_tf.files import write_atomically
from scarlet_tf.paths import as_path
from scarlet_tf.runs.checkpoints import fingerprint
from scarlet_tf.runs.workers import Workers
from scarlet_tf.supernet.paths import PathEvaluator
from scarlet_tf.supernet.sharing import EvaluationImages, Share, SortedGenomes, multiply_adds, plan
from scarlet_tf.supernet.supernet_config import BN_MODES
from scarlet_tf.supernet.supernet_trainer import TrainedSupernet, load_supernet


class SupernetEvaluator:
    """Evaluator of genomes with the supernet's weights, on images held out from the training set, never the test set.

    The genomes of a call are divided among the replicas of the strategy such that genomes with common prefixes stay
    together; where that takes less work, several replicas evaluate the same genomes on different batches of images
    (`sharing.plan`). The batches and calibration images are always the same: a genome's accuracy does not depend on
    the strategy.

    With several workers, the chief runs the search: it calls `evaluate`, and `close` at the end. The others call
    `serve`.

    Images are read again in every call, each batch once for all genomes, because 50,000 images of 224x224 pixels would
    take 30 GB of memory.

    Args:
        trained: the supernet; its config determines the dataset.
        bn: BN statistics, "moving" or "recalibrated".
        images: number of held-out images to use; None: all.
        calibration_images: number of training images for recalibration, used without augmentation.
        data_dir: folder of the dataset; None: the default.
        skip_damaged: leave out images that do not decode; always so if the training did. Refused if it did not and
            there are any, because others would be held out.
        input_workers, cache: how images are read, see `DataConfig`.
        strategy: None: one device.
        portion: number of genomes in a portion, for each replica, see `portions`.

    Raises:
        ValueError: if calibration_images, images or portion is below 1, `bn` is unknown, no images are held out, or
            the images are not those of the training.

    Attributes:
        settings: the settings that determine the accuracies, by name.
        fingerprint: of the settings; not of strategy and portion, which leave the accuracies unchanged.

    Example:
        >>> trained = load_supernet("runs/supernet")
        >>> evaluator = SupernetEvaluator(trained, bn="moving", images=1000)
        >>> evaluator.evaluate(trained.space.random(np.random.default_rng(0), 4))  # 4 accuracies
    """

    def __init__(
        self,
        trained: TrainedSupernet,
        *,
        bn: str = "recalibrated",
        images: int | None = None,
        calibration_images: int = 256,
        data_dir: str | None = None,
        skip_damaged: bool = False,
        input_workers: int | None = None,
        cache: str | None = None,
        strategy: tf.distribute.Strategy | None = None,
        portion: int = 16,
    ) -> None:
        for label, count in (("calibration_images", calibration_images), ("images", images), ("portion", portion)):
            if count is not None and count < 1:
                raise ValueError(f"{label} must be >= 1, got {count}")
        config = trained.config.data
        skip_damaged = skip_damaged or config.skip_damaged
        pixels = {"augment": "none", "crop_share": config.crop_share or config.default_crop_share}
        where = {"data_dir": data_dir, "input_workers": input_workers, "cache": cache}
        config = dataclasses.replace(config, **pixels, **where, skip_damaged=skip_damaged)
        data = open_dataset(config, splits=["search_validation"])  # and a few calibration images
        if trained.images not in (None, data.fingerprint_with(trained.config.data)):
            raise ValueError(
                f"the images of {config.name!r} are not those that the supernet was trained on, so that held-out ones "
                "may be among its training images: restore them, or train it again"
            )
        held_out = data.num_examples["search_validation"]
        if not held_out:
            raise ValueError(
                "the supernet has no held-out images to measure accuracy on: train it with --search_validation above 0"
            )
        self.num_images = held_out if images is None else min(images, held_out)
        self.calibration, _ = data.arrays("train", limit=calibration_images)
        self.settings = {
            "supernet": trained.fingerprint,
            "data": data.fingerprint,
            "bn": bn,
            "images": self.num_images,
            "calibration_images": len(self.calibration) if bn == "recalibrated" else None,
        }
        used = [trained.fingerprint, data.fingerprint, bn, self.num_images]
        if bn == "recalibrated":
            used.append(len(self.calibration))
        self.fingerprint = fingerprint(used)
        self._num_layers = trained.space.num_layers
        self._workers = Workers(strategy, fingerprint=self.fingerprint)
        self._replicas = []  # (device, evaluator) pairs; device None: TensorFlow's default
        for device in strategy.extended.worker_devices if strategy else (None,):
            with tf.device(device):
                paths = PathEvaluator(trained.supernet, bn=bn, calibration=self.calibration)
            self._replicas.append((device, paths))
        self._portion, self._costs = portion, multiply_adds(trained.space)
        whole, rest = divmod(self.num_images, paths.chunk)
        self._images = EvaluationImages(
            batches=(paths.chunk,) * whole + (rest,) * (rest > 0),
            calibration=len(self.calibration) if bn == "recalibrated" else 0,
        )
        self._shard = functools.cache(
            lambda shard: data.eval_batches("search_validation", paths.chunk, limit=images, shard=shard)
        )

    @property
    def blocks(self) -> list[int]:
        """For each replica of this process, the number of blocks computed so far, see `PathEvaluator`."""
        return [paths.blocks for _, paths in self._replicas]

    def portions(self, genomes: np.ndarray) -> list[np.ndarray]:
        """Divide genomes, (n, num_layers) ints, into portions; return the numbers of each portion's genomes.

        A search evaluates portion by portion and keeps the accuracies of each at once. A portion has about `portion`
        genomes for each replica, and cuts as few prefixes as possible.
        """
        count = -(-len(genomes) // (self._portion * self._num_replicas))
        return SortedGenomes(genomes, self._costs).divide(count)

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        """Return top-1 accuracies of genomes: (n, num_layers) ints -> (n,) float64 in [0, 1]."""
        return self._evaluate_together(self._workers.broadcast(np.asarray(genomes)))

    def batches(self, shard: tuple[int, int] = (0, 1)) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Return an iterator over batches of held-out images (b, H, W, 3) float32 and labels (b,) ints.

        Args:
            shard: (k, n) for the batches k, k + n, k + 2n, ...
        """
        return self._shard(shard).as_numpy_iterator()

    def serve(self) -> None:
        """Evaluate this worker's share of the chief's genomes until the chief calls `close`."""
        while len(genomes := self._workers.receive(self._num_layers)):
            self._evaluate_together(genomes)

    def close(self) -> None:
        """End `serve` on the other workers, if there are any."""
        self._workers.broadcast(np.empty((0, self._num_layers), np.int64))

    @property
    def _num_replicas(self) -> int:
        """Number of replicas of all workers."""
        return self._workers.count * len(self._replicas)

    def _evaluate_together(self, genomes: np.ndarray) -> np.ndarray:
        shares = plan(genomes, self._num_replicas, costs=self._costs, images=self._images)
        mine = shares[self._workers.index * len(self._replicas) :][: len(self._replicas)]

        def correct_answers(replica: tuple[str | None, PathEvaluator], share: Share) -> np.ndarray:
            device, paths = replica
            correct = np.zeros(len(genomes), np.int64)
            if share.rows.size:
                with tf.device(device):
                    correct[share.rows] = paths.correct_answers(genomes[share.rows], self.batches(share.shard))
            return correct

        for share in mine:
            self._shard(share.shard)  # decodes small datasets, once for all replicas
        with ThreadPoolExecutor(len(self._replicas)) as pool:  # TensorFlow releases the GIL while it computes
            correct = sum(pool.map(correct_answers, self._replicas, mine))
        return self._workers.add(correct) / self.num_images


def report_paths(
    directory: str | Path,
    *,
    count: int,
    images: int | None = 1000,
    seed: int = 0,
    data_dir: str | None = None,
    input_workers: int | None = None,
    cache: str | None = None,
) -> str:
    """Evaluate uniformly drawn genomes of a supernet, write paths.json, and return a summary, a line for each BN mode.

    Args:
        directory: run directory of the supernet, also for paths.json.
        count: number of genomes.
        images: number of held-out images; None: all.
        data_dir, input_workers, cache: see `DataConfig`.
    """
    trained = load_supernet(directory)
    genomes = trained.supernet.space.random(np.random.default_rng(seed), count)
    found, lines = {}, []
    for bn in BN_MODES:
        where = {"data_dir": data_dir, "input_workers": input_workers, "cache": cache}
        evaluator = SupernetEvaluator(trained, bn=bn, images=images, **where)
        accuracies = evaluator.evaluate(genomes)
        summary = {name: float(getattr(accuracies, name)()) for name in ("mean", "std", "min", "max")}
        found[bn] = summary | {"accuracies": accuracies.tolist()}
        text = ", ".join(f"{name} {value:.3f}" for name, value in summary.items())
        lines.append(f"one-shot accuracy of {count} random paths, {bn} BN: {text}")
    record = {
        "step": trained.step,
        "images": evaluator.num_images,
        "seed": seed,
        "genomes": genomes.tolist(),
        "bn": found,
    }
    write_atomically(as_path(directory) / "paths.json", json.dumps(record))
    return "\n".join(lines)
