"""Measure in a trained supernet what identities do to gradients, features and accuracy; see plan.md."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from benchmarks.let_at_depth.depth_config import PARTS, Condition, changes_channels, keeps_shape
from scarlet_tf.arch import SearchSpace
from scarlet_tf.supernet import PathEvaluator, Supernet
from scarlet_tf.supernet.blocks import OwnStatistics, block_forward, stem_forward, tail_forward
from scarlet_tf.supernet.paths import Weights, weight_tensors

COUNTS = (1, 2, 4, 8)  # identities that are put into a path; 6 layers have room for 1 only
_PATHS = 8
_PREFIXES = 3
_IMAGES = 128
_SEED = 2 * 10**6


@dataclasses.dataclass(frozen=True)
class ChangedPaths:
    """Paths without an identity, and copies of them in which some layers are changed.

    Attributes:
        gene: that of an identity.
        original: (n, num_layers) genomes without an identity.
        identity: by number of changed layers k, the genomes with identities in k layers that keep the shape.
        exchanged: the same layers with other choices than the original's, none of them an identity.
        reshaping: the genomes with an identity in one layer that changes the number of channels.
    """

    gene: int
    original: np.ndarray
    identity: dict[int, np.ndarray]
    exchanged: dict[int, np.ndarray]
    reshaping: np.ndarray

    @classmethod
    def draw(cls, condition: Condition) -> ChangedPaths:
        """Draw the paths of a condition, the same for all arms and seeds."""
        rng, gene = np.random.default_rng(_SEED), condition.identity
        space = condition.space("let")
        original = condition.space("none").random(rng, _PATHS)
        keeps = keeps_shape(space)
        orders = [rng.permutation(np.flatnonzero(keeps)) for _ in original]
        others = (original + rng.integers(1, condition.blocks, original.shape)) % condition.blocks
        reshaping = [rng.choice(np.flatnonzero(changes_channels(space))) for _ in original]
        identity, exchanged = {}, {}
        for count in (count for count in COUNTS if count <= keeps.sum()):
            identity[count], exchanged[count] = original.copy(), original.copy()
            for row, order in enumerate(orders):
                layers = order[:count]
                identity[count][row, layers] = gene
                exchanged[count][row, layers] = others[row, layers]
        with_reshaping = original.copy()
        with_reshaping[np.arange(len(original)), reshaping] = gene
        return cls(gene=gene, original=original, identity=identity, exchanged=exchanged, reshaping=with_reshaping)

    def of(self, space: SearchSpace) -> dict[str, np.ndarray]:
        """Return the groups of genomes that a space has, by name, such as "identity 2"."""
        groups = {f"identity {count}": genomes for count, genomes in self.identity.items()}
        groups["reshaping"] = self.reshaping
        has_identity = np.array([gene is not None for gene in space.identities])
        kept = {
            name: genomes for name, genomes in groups.items() if has_identity[(genomes == self.gene).any(axis=0)].all()
        }
        return kept | {f"exchanged {count}": genomes for count, genomes in self.exchanged.items()}


def measure_effects(supernet: Supernet, condition: Condition, images: np.ndarray, labels: np.ndarray) -> dict:
    """Measure gradients, accuracies and features of a trained supernet.

    Args:
        supernet: the supernet, of an arm's space.
        condition: its condition.
        images, labels: (N, H, W, 3) float32 and (N,) ints from the training set; gradients and features use the first
            128.

    Returns:
        JSON values:

        - "gradients": {group of changed paths: {part: {"angle", "norm"}}}: the angle in degrees between the gradients
          that a part's weights get from a changed path and from its original, and the ratio of their norms; means over
          the paths.
        - "accuracies": {group: accuracies}, with batch statistics, of the changed paths and "original".
        - "features": {"cosine" or "cka": {"blocks", "identity"}}: a number for each layer, the similarity of the
          outputs of two blocks, and of the identity and a block, on the same input; NaN (null) without an identity.
    """
    paths = ChangedPaths.draw(condition)
    groups = paths.of(supernet.space)
    few = tf.constant(images[:_IMAGES]), tf.constant(labels[:_IMAGES], tf.int32)
    evaluator = PathEvaluator(supernet, bn="recalibrated", calibration=images)
    together = np.concatenate([paths.original, *groups.values()])
    accuracies = evaluator.accuracies(together, images, labels).reshape(len(groups) + 1, -1)
    return {
        "gradients": _compare_gradients(supernet, paths.original, groups, *few),
        "accuracies": dict(zip(("original", *groups), accuracies.tolist(), strict=True)),
        "features": _compare_features(supernet, paths.original[:_PREFIXES], few[0]),
    }


class PathRunner:
    """Forward passes of a supernet's paths with batch statistics; stem, tail and classifier are tensors to watch."""

    def __init__(self, supernet: Supernet) -> None:
        self._supernet, self._space = supernet, supernet.space
        self.stem, self.tail = weight_tensors(supernet.stem_weights()), weight_tensors(supernet.tail_weights())

    def run_stem(self, images: tf.Tensor) -> tf.Tensor:
        return stem_forward(images, self.stem, OwnStatistics(self.stem), stride=self._space.stem_stride)

    def run_choice(self, x: tf.Tensor, layer: int, choice: int) -> tf.Tensor:
        weights = weight_tensors(self._supernet.layers[layer].choice_weights(choice))
        block = self._space.block(layer, choice, x.shape[-1], let=True)
        return block_forward(x, weights, OwnStatistics(weights), block)

    def logits(self, genome: np.ndarray, images: tf.Tensor) -> tf.Tensor:
        x = self.run_stem(images)
        for layer, choice in enumerate(genome):
            x = self.run_choice(x, layer, int(choice))
        features = tail_forward(x, self.tail, OwnStatistics(self.tail))
        return features @ self.tail["classifier/kernel"] + self.tail["classifier/bias"]

    def trained(self) -> dict[str, Weights]:
        """Return the trained weights of each of PARTS, by name."""
        groups = {"stem": (self.stem, ""), "tail": (self.tail, "tail"), "classifier": (self.tail, "classifier")}
        return {
            part: {name: w for name, w in weights.items() if name.startswith(prefix) and "moving" not in name}
            for part, (weights, prefix) in groups.items()
        }

    def gradients(self, genome: np.ndarray, images: tf.Tensor, labels: tf.Tensor) -> dict[str, np.ndarray]:
        """Return the gradient of the mean loss with respect to each of PARTS, as a vector."""
        trained = self.trained()
        with tf.GradientTape() as tape:
            tape.watch(trained)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, self.logits(genome, images))
            loss = tf.reduce_mean(losses)
        found = tape.gradient(loss, trained)
        return {part: np.concatenate([g.numpy().ravel() for g in found[part].values()]) for part in PARTS}


def _compare_gradients(supernet, original: np.ndarray, groups, images: tf.Tensor, labels: tf.Tensor) -> dict:
    path = PathRunner(supernet)
    before = [path.gradients(genome, images, labels) for genome in original]
    result = {}
    for name, genomes in groups.items():
        pairs = [(b, path.gradients(genome, images, labels)) for b, genome in zip(before, genomes, strict=True)]
        result[name] = {
            part: {
                "angle": float(np.mean([angle(b[part], a[part]) for b, a in pairs])),
                "norm": float(np.mean([np.linalg.norm(a[part]) / np.linalg.norm(b[part]) for b, a in pairs])),
            }
            for part in PARTS
        }
    return result


def _compare_features(supernet: Supernet, prefixes: np.ndarray, images: tf.Tensor) -> dict:
    """Compare the outputs of all choices of a layer, after the same blocks; means over the prefixes."""
    path = PathRunner(supernet)
    found = {measure: {kind: [] for kind in ("blocks", "identity")} for measure in ("cosine", "cka")}
    for prefix in prefixes:
        x = path.run_stem(images)
        for layer, options in enumerate(supernet.space.layer_choices):
            outputs = [path.run_choice(x, layer, choice) for choice in range(len(options))]
            x = outputs[prefix[layer]]
            maps = [output.numpy().astype(np.float64) for output in outputs]
            blocks = [m for m, option in zip(maps, options, strict=True) if not option.is_identity]
            others = maps[len(blocks) :]
            for measure, similarity in (("cosine", cosine), ("cka", linear_cka)):
                among = [similarity(a, b) for a, b in itertools.combinations(blocks, 2)]
                with_identity = [similarity(a, b) for a in blocks for b in others]
                found[measure]["blocks"].append(np.mean(among))
                found[measure]["identity"].append(np.mean(with_identity) if others else np.nan)
    layers = supernet.space.num_layers
    return {
        measure: {
            kind: [
                None if np.isnan(value) else value for value in np.reshape(values, (-1, layers)).mean(axis=0).tolist()
            ]
            for kind, values in kinds.items()
        }
        for measure, kinds in found.items()
    }


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Return the angle between two vectors in degrees."""
    return float(np.degrees(np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean over images and channels of the cosine between two feature maps: (N, H, W, C) each.

    A channel that is zero in either has the cosine 0.
    """
    product = (a * b).sum(axis=(1, 2))
    norms = np.sqrt((a**2).sum(axis=(1, 2)) * (b**2).sum(axis=(1, 2)))
    return float(np.divide(product, norms, out=np.zeros_like(product), where=norms > 0).mean())


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Return the linear CKA of two feature maps, every position of an image an example: (N, H, W, C) each.

    Kornblith et al. 2019, "Similarity of Neural Network Representations Revisited", section 3.
    """
    x, y = (m.reshape(-1, m.shape[-1]) - m.reshape(-1, m.shape[-1]).mean(axis=0) for m in (a, b))
    between, first, second = (np.linalg.norm(p.T @ q) for p, q in ((x, y), (x, x), (y, y)))
    return float(between**2 / (first * second)) if first and second else 0.0
