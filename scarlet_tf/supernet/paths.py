"""Evaluation of many paths of a supernet at once, in which common prefixes are computed once.

Genomes are visited in lexicographic order, so a layer runs once for all genomes that agree up to it. BN uses the moving
statistics of training, or is recalibrated: each BN then uses the exact statistics of the calibration images on the
path. The statistics of a block depend only on the genes up to it, so they are shared in the same way.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.arch import BlockSpec
from scarlet_tf.choices import check_known
from scarlet_tf.image_size import height_and_width
from scarlet_tf.progress import progress
from scarlet_tf.supernet.blocks import GivenStatistics, OwnStatistics, block_forward, stem_forward, tail_forward
from scarlet_tf.supernet.supernet import Supernet
from scarlet_tf.supernet.supernet_config import BN_MODES

_PIXELS_IN_FLIGHT = 1000 * 32 * 32

Weights = dict[str, tf.Tensor]
Statistics = dict[str, tuple[tf.Tensor, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class _Stage:
    """A part of a path: the stem, a block, or the tail with the classifier."""

    kind: str
    block: BlockSpec | None = None
    stride: int = 1

    def forward(self, x: tf.Tensor, w: Weights, norm) -> tf.Tensor:
        if self.kind == "stem":
            return stem_forward(x, w, norm, stride=self.stride)
        if self.kind == "tail":
            return tail_forward(x, w, norm) @ w["classifier/kernel"] + w["classifier/bias"]
        return block_forward(x, w, norm, self.block)


class _StageFunctions:
    """The two TensorFlow functions of a stage, traced once for each input shape."""

    def __init__(self, stage: _Stage) -> None:
        self._stage = stage
        self.infer = tf.function(self._infer, autograph=False)
        self.calibrate = tf.function(self._calibrate, autograph=False)

    def _infer(self, x: tf.Tensor, w: Weights, statistics: Statistics) -> tf.Tensor:
        """Run the stage with given BN statistics."""
        return self._stage.forward(x, w, GivenStatistics(w, statistics))

    def _calibrate(self, x: tf.Tensor, w: Weights) -> tuple[tf.Tensor, Statistics]:
        """Run the stage with the BN statistics of x; return its output and the statistics."""
        norm = OwnStatistics(w)
        return self._stage.forward(x, w, norm), norm.statistics


_functions = functools.cache(_StageFunctions)


class PathEvaluator:
    """Evaluator of genomes with a supernet's weights, which must not change while the evaluator is in use.

    Args:
        supernet: the supernet.
        bn: BN statistics, "moving" or "recalibrated".
        calibration: (N, H, W, 3) float32 training images; needed if `bn` is "recalibrated".
        chunk: number of images in a batch; memory grows with it. None: 1000 of 32x32 pixels, fewer of larger ones.
            Calibration images always form one batch, because the statistics are those of the whole batch.

    Raises:
        ValueError: if `bn` is unknown, or recalibration lacks calibration images.

    Attributes:
        blocks: number of blocks computed so far, each times its images, also those of recalibration; without stem and
            tail.

    Example:
        >>> paths = PathEvaluator(trained.supernet, bn="moving")  # trained = load_supernet("runs/supernet")
        >>> paths.accuracies(np.array([[12, 1, 12, 6, 3, 8]]), images, labels)
    """

    def __init__(
        self, supernet: Supernet, *, bn: str, calibration: np.ndarray | None = None, chunk: int | None = None
    ) -> None:
        check_known("BN mode", bn, BN_MODES)
        if bn == "recalibrated" and (calibration is None or len(calibration) == 0):
            raise ValueError("recalibrated BN needs calibration images, got none")
        self.space = supernet.space
        self.bn = bn
        self.calibration = calibration
        self.blocks = 0
        self.chunk = chunk or max(1, _PIXELS_IN_FLIGHT // math.prod(height_and_width(self.space.resolution)))
        self._stem_weights = weight_tensors(supernet.stem_weights())
        self._tail_weights = weight_tensors(supernet.tail_weights())
        self._supernet = supernet
        self._block_weights: dict[tuple[int, int], Weights] = {}
        widths = (self.space.first_channels, *self.space.out_channels)
        self._stages = [
            [_Stage("block", self.space.block(layer, gene, widths[layer], let=True)) for gene in range(choices)]
            for layer, choices in enumerate(self.space.num_choices)
        ]
        self._stem = _Stage("stem", stride=self.space.stem_stride)
        self._tail = _Stage("tail")

    def accuracies(self, genomes: np.ndarray, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the genomes' top-1 accuracies on images held in memory.

        Args:
            genomes: (n, L) ints.
            images: (N, H, W, 3) float32.
            labels: (N,) ints.

        Returns:
            (n,) float64 in [0, 1].
        """
        return self.correct_answers(genomes, self._chunks(images, labels)) / len(labels)

    def correct_answers(self, genomes: np.ndarray, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Return how many images of (images, labels) batches each genome classifies correctly: (n, L) -> (n,) ints."""
        correct = np.zeros(len(genomes), np.int64)
        for labels, row, logits in self._run(genomes, batches):
            correct[row] += int(np.sum(logits.argmax(1) == labels))
        return correct

    def logits(self, genomes: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return logits: (n, L) genomes, (N, H, W, 3) float32 -> (n, N, classes) float32."""
        result = np.empty((len(genomes), len(images), self.space.classes), np.float32)
        for places, row, logits in self._run(genomes, self._chunks(images, np.arange(len(images)))):
            result[row, places] = logits
        return result

    def _chunks(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for first in range(0, len(images), self.chunk):
            yield images[first : first + self.chunk], labels[first : first + self.chunk]

    def _run(self, genomes: np.ndarray, batches: Iterable) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
        """Yield (labels of a batch, row of a genome, its logits for the batch)."""
        genomes = np.asarray([self.space.check(genome) for genome in genomes])
        statistics = self._moving_statistics()
        if self.bn == "recalibrated":
            statistics = self._calibrated_statistics(genomes)

        def infer(stage, x, w, prefix):
            return _functions(stage).infer(x, w, statistics(prefix, w))

        for images, labels in progress(batches, "evaluate paths", unit="batch"):
            for row, logits in self._walk(genomes, tf.constant(images), infer):
                yield labels, row, logits.numpy()

    def _moving_statistics(self) -> Callable:
        def statistics(prefix, w):
            names = [name.removesuffix("/moving_mean") for name in w if name.endswith("/moving_mean")]
            return {name: (w[f"{name}/moving_mean"], w[f"{name}/moving_variance"]) for name in names}

        return statistics

    def _calibrated_statistics(self, genomes: np.ndarray) -> Callable:
        found: dict[tuple, Statistics] = {}

        def calibrate(stage, x, w, prefix):
            y, found[prefix] = _functions(stage).calibrate(x, w)
            return y

        collections.deque(self._walk(genomes, tf.constant(self.calibration), calibrate), maxlen=0)
        return lambda prefix, w: found[prefix]

    def _walk(self, genomes: np.ndarray, images: tf.Tensor, apply: Callable) -> Iterator[tuple[int, tf.Tensor]]:
        """Run every genome's path, each common prefix once; yield (row of the genome, logits).

        Args:
            apply: apply(stage, x, weights, prefix) runs a stage; `prefix` identifies the stage and the genes up to it.
        """
        maps = [apply(self._stem, images, self._stem_weights, ("stem",))]
        done: tuple[int, ...] = ()
        for row in np.lexsort(genomes.T[::-1]):
            genome = tuple(int(gene) for gene in genomes[row])
            del maps[1 + _common(done, genome) :]
            for layer in range(len(maps) - 1, len(genome)):
                choice = genome[layer]
                stage = self._stages[layer][choice]
                self.blocks += int(images.shape[0])
                maps.append(apply(stage, maps[-1], self._weights(layer, choice), genome[: layer + 1]))
            done = genome
            yield int(row), apply(self._tail, maps[-1], self._tail_weights, (*genome, "tail"))

    def _weights(self, layer: int, choice: int) -> Weights:
        if (layer, choice) not in self._block_weights:
            self._block_weights[layer, choice] = weight_tensors(self._supernet.layers[layer].choice_weights(choice))
        return self._block_weights[layer, choice]


def weight_tensors(arrays: dict[str, np.ndarray]) -> Weights:
    """Return weights as tensors for `block_forward`: kernels of 1x1 convolutions lose their two leading axes."""
    return {
        name: tf.constant(value[0, 0] if value.ndim == 4 and value.shape[:2] == (1, 1) else value)
        for name, value in arrays.items()
    }


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the length of the common prefix."""
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
