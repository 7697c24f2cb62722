"""The training step of a stand-alone network, the same under every tf.distribute strategy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from scarlet_tf.arch import ArchSpec
from scarlet_tf.backend import check_tensorflow
from scarlet_tf.models import block_name, build, get_weights, named_variables, set_weights
from scarlet_tf.runs.background import snapshot
from scarlet_tf.runs.loss_scale import LossScale, set_own
from scarlet_tf.runs.steps_together import steps_together
from scarlet_tf.training.config import TrainConfig
from scarlet_tf.training.fused import fused
from scarlet_tf.training.optimizers import (
    Later,
    decayed_variables,
    ema_decay,
    l2_penalty,
    make_optimizer,
    make_schedule,
)

check_tensorflow("scarlet_tf.training")

SCALARS = ("loss", "accuracy", "learning_rate")  # of a step


class TrainState:
    """Network, optimizers and averaged weights, with the training step that updates them.

    Keras 3 optimizers sum gradients over replicas, so each replica's loss is divided by the global batch size. Dropout
    is drawn from (seed, step) for the global batch, so that neither a restart nor the number of replicas changes it.

    Args:
        weights: named arrays to start from, as `get_weights` returns them; a missing classifier is initialised. None:
            the official initialisation.
        class_weights: (classes,), factor of the losses of each class; None: 1.
        normalise: maps the images of a batch, as `take_step` gets them, to the network's input, such as
            `ImageData.normalise`; default: they are normalised already.
        steps_per_call: most steps that one call of `take_steps` takes.
        jit_compile: compile a step as one XLA program. On a CPU, XLA's depthwise convolutions make it 10 to 30 times as
            slow.
    """

    def __init__(
        self,
        spec: ArchSpec,
        config: TrainConfig,
        *,
        strategy: tf.distribute.Strategy,
        image_shape: tuple[int, int],
        steps_per_epoch: int,
        total_steps: int,
        weights: Mapping[str, np.ndarray] | None = None,
        class_weights: np.ndarray | None = None,
        normalise: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
        steps_per_call: int = 1,
        jit_compile: bool = False,
    ) -> None:
        self.config, self._jit_compile = config, jit_compile
        self._class_weights, self._normalise = class_weights, normalise
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        self._classes = spec.classes
        self._dropout = spec.dropout if config.dropout is None else config.dropout
        keras.utils.set_random_seed(config.seed)  # for the initial weights
        self._part = config.batch_size // self.replicas // config.accumulate  # images that go through at once
        with strategy.scope(), _precision(config.precision):
            plain = build(
                spec,
                input_shape=(*image_shape, spec.input_channels),
                batch_size=self._part,
                classifier_activation=None,
            )
            self.model = fused(plain)
            if config.zero_gamma:
                set_weights(self.model, get_weights(self.model) | _zero_gammas(self.model, spec))
            if weights is not None:
                set_weights(self.model, {**_classifier(get_weights(self.model)), **weights})
            self._features = keras.Model(self.model.input, self.model.get_layer("pool").output)
            self.frozen_steps = round(config.frozen_epochs * steps_per_epoch)
            self._frozen = keras.Model(plain.input, plain.get_layer("pool").output) if self.frozen_steps else None
            self._schedule = make_schedule(config, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
            self._optimizer, self._frozen_optimizer = self._make_optimizers()
            self._loss_scale = LossScale() if config.precision == "mixed_float16" else None
            self._averages = [
                tf.Variable(variable.numpy(), trainable=False, name=f"average_{i}")
                for i, variable in enumerate(self.model.trainable_variables if config.ema else [])
            ]
        self._decayed = decayed_variables(self.model)
        self._freeze()
        together = {"most": steps_per_call, "scalars": SCALARS}
        self._steps, self._frozen_steps = (
            steps_together(self._make_step(replica_step), strategy, **together)
            for replica_step in (self._replica_step, self._replica_frozen_step)
        )

    def take_steps(self, first: int, batches: Sequence[tuple]) -> dict:
        """Run steps, from number `first` (0-based) on, each on per-replica images and labels.

        Returns:
            Scalar tensors of the last step: loss (with label smoothing and L2) and accuracy, means over the batch, and
            learning_rate.
        """
        numbers = [(tf.constant(first + n, tf.int64),) for n in range(len(batches))]
        frozen = max(0, min(self.frozen_steps - first, len(batches)))
        if frozen:
            scalars = self._frozen_steps(batches[:frozen], numbers[:frozen])
        if frozen < len(batches):
            scalars = self._steps(batches[frozen:], numbers[frozen:])
        return scalars

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays that a resumed run needs, by name."""
        named = {f"model/{name}": snapshot(variable) for name, variable in named_variables(self.model).items()}
        for kind, variables in self._numbered().items():
            named |= {f"{kind}/{i:04d}": snapshot(variable) for i, variable in enumerate(variables)}
        return named | (self._loss_scale.state() if self._loss_scale else {})

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `arrays` returned."""
        prefix = "model/"
        set_weights(self.model, {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)})
        for kind, variables in self._numbered().items():
            for i, variable in enumerate(variables):
                variable.assign(arrays[f"{kind}/{i:04d}"])
        if self._loss_scale:
            self._loss_scale.load_state(arrays)
        self._freeze()

    def _numbered(self) -> dict[str, Sequence]:
        """Return the variables that checkpoints number within each group, because their names are not unique."""
        frozen = self._frozen_optimizer.variables if self._frozen_optimizer else []
        return {"optimizer": self._optimizer.variables, "frozen_optimizer": frozen, "average": self._averages}

    def _make_optimizers(self) -> tuple:
        """Return the optimizer of all weights, and that of frozen steps for the classifier's, or None.

        Each counts its own steps: Adam's correction of averages that start at 0 is that of as many steps as it has
        taken.
        """
        if not self.frozen_steps:
            optimizer, frozen = make_optimizer(self.config, self._schedule), None
        else:
            optimizer = make_optimizer(self.config, Later(self._schedule, steps=self.frozen_steps))
            frozen = make_optimizer(self.config, self._schedule)
            frozen.build(self.model.get_layer("classifier").trainable_variables)
        optimizer.build(self.model.trainable_variables)
        return optimizer, frozen

    def _freeze(self) -> None:
        """Copy the trained network's weights, except the classifier's, to the network that frozen steps use."""
        if self._frozen is not None:
            weights = get_weights(self.model)
            set_weights(self._frozen, {name: weights[name] for name in weights.keys() - _classifier(weights).keys()})

    def final_weights(self) -> dict[str, np.ndarray]:
        """Return the named arrays to evaluate and keep: averaged weights, if any, and the moving statistics."""
        weights = get_weights(self.model)
        if self._averages:
            names = {id(variable): name for name, variable in _named_variables(self.model).items()}
            for variable, average in zip(self.model.trainable_variables, self._averages, strict=True):
                weights[names[id(variable)]] = average.numpy()
        return weights

    def _make_step(self, replica_step):
        @tf.function(autograph=False, jit_compile=self._jit_compile)
        def step(images, labels, number):
            losses, right = self.strategy.run(replica_step, args=(number, images, labels))
            decay = ema_decay(self.config.ema, number)
            for variable, average in zip(self.model.trainable_variables, self._averages, strict=False):
                average.assign(decay * average + (1.0 - decay) * variable.value)
            total = tf.distribute.ReduceOp.SUM
            return {
                "loss": self.strategy.reduce(total, losses, axis=None),
                "accuracy": self.strategy.reduce(total, right, axis=None),
                "learning_rate": self._schedule(number),
            }

        return step

    def _replica_step(self, number, images, labels):
        def features(part):
            return self._features(part, training=True)

        return self._learn(features, self._optimizer, self.model.trainable_variables, number, images, labels)

    def _replica_frozen_step(self, number, images, labels):
        def features(part):
            return self._frozen(part, training=False)

        variables = self.model.get_layer("classifier").trainable_variables
        return self._learn(features, self._frozen_optimizer, variables, number, images, labels)

    def _learn(self, features, optimizer, variables, number, images, labels):
        """Update the variables; return this replica's share of the loss and of the accuracy."""
        of_parts = []
        for first in range(0, self._part * self.config.accumulate, self._part):
            rows = slice(first, first + self._part)
            with tf.GradientTape() as tape:
                loss, right = self._loss(features(self._normalise(images[rows])), number, labels[rows], first=first)
                scaled = loss * self._loss_scale.scale if self._loss_scale else loss
            of_parts.append((loss, right, *tape.gradient(scaled, [variable.value for variable in variables])))
        loss, right, *gradients = (tf.add_n(values) for values in zip(*of_parts, strict=True))
        if self._loss_scale:
            self._update_if_finite(optimizer, gradients, variables)
        else:
            optimizer.apply(self._clipped(gradients), variables)
        return loss, right

    def _update_if_finite(self, optimizer, gradients, variables):
        """Update the variables by gradients of the scaled loss; after an overflow, restore them instead.

        Not by tf.cond: Keras's update cannot be in a branch where the replicas are those of a mirrored strategy.
        """
        gradients, finite = self._loss_scale.unscale(self._summed(gradients))
        state = [variable for variable in optimizer.variables if variable is not optimizer.iterations]
        changing = [variable.value for variable in (*variables, *state)]
        before = [tf.identity(variable) for variable in changing]
        optimizer.apply(self._clipped([gradient / self.replicas for gradient in gradients]), variables)
        for variable, old in zip(changing, before, strict=True):
            set_own(variable, tf.where(finite, variable, old))
        self._loss_scale.adjust(finite)

    def _clipped(self, gradients):
        """Return gradients whose sum over replicas, which Keras applies, is no longer than `clip_norm`."""
        if not self.config.clip_norm:
            return gradients
        clipped, _ = tf.clip_by_global_norm(self._summed(gradients), self.config.clip_norm)
        return [gradient / self.replicas for gradient in clipped]

    def _summed(self, gradients):
        """Return the sums of the gradients over all replicas."""
        if self.replicas == 1:
            return gradients
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)

    def _loss(self, features, number, labels, *, first: int):
        """Return the share of the loss and of the accuracy of a part of this replica's batch, from pooled features.

        Args:
            first: number of the part's first image in this replica's batch.
        """
        config = self.config
        features = self._drop(tf.cast(features, tf.float32), number, first=first)
        logits = self.model.get_layer("classifier")(features)
        targets = tf.one_hot(labels, self._classes) * (1.0 - config.label_smoothing)
        targets += config.label_smoothing / self._classes
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        if self._class_weights is not None:
            losses *= tf.gather(tf.constant(self._class_weights, tf.float32), labels)
        loss = tf.reduce_sum(losses) / config.batch_size
        loss += config.l2 * l2_penalty(self._decayed) / (self.replicas * config.accumulate)
        hits = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
        return loss, tf.reduce_sum(hits) / config.batch_size

    def _drop(self, features, number, *, first: int):
        if not self._dropout:
            return features
        shape = (self.config.batch_size, features.shape[-1])
        seed = tf.stack([tf.constant(self.config.seed, tf.int64), number])
        kept = tf.random.stateless_uniform(shape, seed, alg="philox") >= self._dropout
        share = self.config.batch_size // self.replicas
        first += tf.distribute.get_replica_context().replica_id_in_sync_group * share
        kept = tf.slice(kept, [first, 0], [self._part, shape[1]])
        return features * tf.cast(kept, features.dtype) / (1.0 - self._dropout)


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    """Give Keras layers that are made meanwhile a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _named_variables(model: keras.Model) -> dict:
    return {f"{layer.name}/{v.name}": v for layer in model.layers for v in layer.trainable_variables}


def _zero_gammas(model: keras.Model, spec: ArchSpec) -> dict[str, np.ndarray]:
    """Return zero gammas by weight name, for the last batch normalisation of each block with a shortcut."""
    layers = [f"{block_name(index)}_project_bn" for index, block in enumerate(spec.blocks) if block.shortcut]
    return {f"{layer}/gamma": np.zeros_like(model.get_layer(layer).gamma.numpy()) for layer in layers}


def _classifier(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in weights.items() if name.startswith("classifier/")}
