"""Searchable layers of the supernet: the weights of all choices, each of which runs on the feature map of its path.

The choices run one after another on separate feature maps. Stacked feature maps would have to be copied, and would not
stay in a CPU's caches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.arch import BlockSpec, Choice
from scarlet_tf.arch.block import BLOCK_KINDS, Weight
from scarlet_tf.layers import BatchNorm
from scarlet_tf.supernet.blocks import mixed_layer
from scarlet_tf.supernet.stacking import group_name, groups_of, in_order, is_stacked, short_name
from scarlet_tf.supernet.supernet_config import InitConfig

BN_MOMENTUM = BatchNorm().momentum


def new_variable(value: np.ndarray, name: str, *, trainable: bool = True) -> tf.Variable:
    """Return a new float32 variable that aggregates the first replica's value: all replicas make the same updates."""
    return tf.Variable(
        np.asarray(value, np.float32),
        name=name,
        trainable=trainable,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def variable_key(variable: tf.Variable) -> str:
    """Return the variable's name in checkpoints."""
    return variable.name.split(":")[0]


def normal(rng: np.random.Generator, shape: tuple[int, ...], *, fan_out: int) -> np.ndarray:
    """Draw a convolution's initial kernel from N(0, sqrt(2/fan_out)), fan_out = k*k*out, as the official code does."""
    return rng.standard_normal(shape) * np.sqrt(2.0 / fan_out)


class BatchNormVariables:
    """Stacked gamma, beta and moving statistics of `slots` batch normalisations; (slots, channels) each."""

    def __init__(self, slots: int, channels: int, name: str, *, gamma: np.ndarray | float = 1.0) -> None:
        shape = (slots, channels)
        self.gamma = new_variable(np.broadcast_to(gamma, shape), f"{name}/gamma")
        self.beta = new_variable(np.zeros(shape), f"{name}/beta")
        self.moving_mean = new_variable(np.zeros(shape), f"{name}/moving_mean", trainable=False)
        self.moving_variance = new_variable(np.ones(shape), f"{name}/moving_variance", trainable=False)

    def variables(self) -> list[tf.Variable]:
        return [self.gamma, self.beta, self.moving_mean, self.moving_variance]

    def by_slot(self, name: str) -> list[dict[str, tf.Tensor]]:
        """Return each slot's gamma and beta, (channels,) each, by their names in the stand-alone model."""
        pairs = zip(tf.unstack(self.gamma), tf.unstack(self.beta), strict=True)
        return [{f"{name}/gamma": gamma, f"{name}/beta": beta} for gamma, beta in pairs]

    def follow(self, moments: Sequence[tf.Tensor]) -> None:
        """Update the moving statistics with the moments of batches, (2, C) each; ignore those that are not finite.

        In float16 a step may overflow. The optimizer skips it, but no average would recover from it.

        If there are several batches for each slot, those of a slot are consecutive, and their mean is used.
        """
        slots = self.moving_mean.shape[0]
        batches = tf.stack(moments, axis=1)
        if slots != len(moments):
            batches = tf.reduce_mean(tf.reshape(batches, (2, slots, -1, batches.shape[-1])), axis=2)
        for moving, batch in zip((self.moving_mean, self.moving_variance), tf.unstack(batches), strict=True):
            updated = moving * BN_MOMENTUM + batch * (1.0 - BN_MOMENTUM)
            moving.assign(tf.where(tf.math.is_finite(updated), updated, moving))


class StackedWeight:
    """A weight of several slots, stacked in one variable; spatial kernels have one variable for each slot instead."""

    def __init__(self, weights: Sequence[Weight], slots: Sequence[int], *, rng, name: str) -> None:
        first = weights[0]
        self.name, self.slots = first.name, tuple(slots)
        values = [normal(rng, w.shape, fan_out=w.fan_out) if w.fan_out else np.zeros(w.shape) for w in weights]
        self.is_stacked = is_stacked(first)
        if self.is_stacked:
            self.variables = [new_variable(np.stack(values), f"{name}/{short_name(first)}")]
        else:
            self.variables = [
                new_variable(value, f"{name}/{short_name(first)}{slot}")
                for slot, value in zip(slots, values, strict=True)
            ]

    def by_slot(self) -> list[tf.Tensor]:
        """Return the weights in the order of `slots`."""
        if self.is_stacked:
            return tf.unstack(self.variables[0])
        return [tf.convert_to_tensor(variable) for variable in self.variables]

    def value(self, slot: int) -> np.ndarray:
        """Return the weight of one of `slots` in the stand-alone model's shape."""
        place = self.slots.index(slot)
        value = self.variables[0][place] if self.is_stacked else self.variables[place]
        return as_convolution(self.name, value.numpy())


def as_convolution(name: str, value: np.ndarray) -> np.ndarray:
    """Return a weight in the stand-alone model's shape, in which kernels of 1x1 convolutions have four axes."""
    return value[None, None] if name.endswith("/kernel") and value.ndim == 2 else value


class BlockGroup:
    """Weights of a layer's choices with the same number of hidden channels, without the last BN.

    Weights of the same shape are stacked, which leaves fewer variables to update and save. The index of a choice in
    the stack is its slot; `size` is the number of slots.
    """

    def __init__(self, blocks: Sequence[BlockSpec], *, rng, name: str) -> None:
        kind = BLOCK_KINDS[blocks[0].kind]
        self.size = len(blocks)
        wanted: dict[str, list[tuple[int, Weight]]] = {}
        for slot, block in enumerate(blocks):
            for weight in kind.weights(block):
                wanted.setdefault(weight.name, []).append((slot, weight))
        # In the order of a block with SE, which has them all: the initial weights of a seed depend on it.
        order = [weight.name for weight in kind.weights(max(blocks, key=lambda block: block.has_se))]
        self._weights = []
        for each in order:
            slots, weights = zip(*wanted[each], strict=True)
            self._weights.append(StackedWeight(weights, slots, rng=rng, name=name))
        hidden = blocks[0].hidden_channels
        self._norms = {norm: BatchNormVariables(self.size, hidden, f"{name}/{norm}") for norm in kind.norms}

    def variables(self) -> list[tf.Variable]:
        parts = [*(weight.variables for weight in self._weights), *(norm.variables() for norm in self._norms.values())]
        return [variable for part in parts for variable in part]

    def by_slot(self) -> list[dict[str, tf.Tensor]]:
        """Return the current weights of every slot, by their names in the stand-alone model."""
        slots: list[dict[str, tf.Tensor]] = [{} for _ in range(self.size)]
        for weight in self._weights:
            for slot, value in zip(weight.slots, weight.by_slot(), strict=True):
                slots[slot][weight.name] = value
        for name, norm in self._norms.items():
            for slot, scales in enumerate(norm.by_slot(name)):
                slots[slot] |= scales
        return slots

    def follow(self, moments: Sequence[dict[str, tf.Tensor]]) -> None:
        """Update the moving statistics, except the last BN's, with the moments of every run, in slot order."""
        for name, norm in self._norms.items():
            norm.follow([of_run[name] for of_run in moments])

    def slot_weights(self, slot: int) -> dict[str, np.ndarray]:
        """Return a slot's weights, without the last BN, with the names and shapes of the stand-alone model."""
        weights = {weight.name: weight.value(slot) for weight in self._weights if slot in weight.slots}
        for name, norm in self._norms.items():
            weights |= bn_weights(norm, slot, name)
        return weights


def bn_weights(bn: BatchNormVariables, slot: int, name: str) -> dict[str, np.ndarray]:
    """Return the weights of a slot's BN by their names in the stand-alone model."""
    fields = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"{name}/{field}": getattr(bn, field)[slot].numpy() for field in fields}


class MixedLayer:
    """A searchable layer, with all its choices.

    Attributes:
        order: the gene of every slot: blocks grouped by kind and expansion ratio, those without SE first, then the
            identity.
        runs_of_slots: the numbers of the runs in the order in which the layer executes them, slot by slot. Run k of
            gene g has number g * runs + k.

    Args:
        choices: the layer's choices, by gene.
        inputs, outputs: numbers of channels, the same for every choice.
        stride: stride of every choice.
        runs: how often each choice runs in a fair step, every time on the feature map of another path.
        init: initialisation of the LET and the last BNs.
        rng: generator of the initial weights.
        name: prefix of the variables' names.
    """

    def __init__(
        self,
        choices: Sequence[Choice],
        inputs: int,
        outputs: int,
        *,
        stride: int,
        runs: int,
        init: InitConfig,
        rng,
        name: str,
    ) -> None:
        self._runs = runs
        groups = groups_of(choices)
        self.order = in_order(choices)
        self.runs_of_slots = [gene * runs + k for gene in self.order for k in range(runs)]
        self._blocks = [
            choices[gene].block(inputs, out_channels=outputs, stride=stride, let=True) for gene in self.order
        ]
        self._groups, self._places = [], []
        for (kind, expansion), group in groups.items():
            blocks = self._blocks[len(self._places) : len(self._places) + len(group)]
            self._places += [(len(self._groups), slot) for slot in range(len(group))]
            self._groups.append(BlockGroup(blocks, rng=rng, name=f"{name}/{group_name(kind, expansion)}"))
        gamma = init.residual_gamma if stride == 1 and inputs == outputs else 1.0
        self._project_bn = None
        if self._places:
            self._project_bn = BatchNormVariables(len(self._places), outputs, f"{name}/project_bn", gamma=gamma)
        self.let = None
        if len(self._places) < len(choices):
            start = np.eye(inputs, outputs)
            learns = choices[self.order[-1]].kind == "let"
            if init.let == "normal" and learns:  # a separate generator: `init.let` must not change the other weights
                start = normal(rng.spawn(1)[0], (inputs, outputs), fan_out=outputs)
            # A plain identity is implemented as a LET that is not trained and keeps its ones on the diagonal.
            self.let = new_variable(start, f"{name}/let", trainable=learns)

    def variables(self) -> list[tf.Variable]:
        groups = [variable for group in self._groups for variable in group.variables()]
        last = [] if self._project_bn is None else self._project_bn.variables()
        return [*groups, *last, *([] if self.let is None else [self.let])]

    def __call__(self, inputs: Sequence[tf.Tensor], *, recompute: bool) -> list[tf.Tensor]:
        """Run every choice with batch statistics, and update the moving statistics.

        Args:
            inputs: a feature map (B, H, W, in) for each run, in the order of `runs_of_slots`.
            recompute: see `blocks.mixed_layer`.

        Returns:
            A feature map (B, H', W', out) for each run, in the same order.
        """
        weights = [slot for group in self._groups for slot in group.by_slot()]
        if self._project_bn is not None:
            last = self._project_bn.by_slot("project_bn")
            weights = [slot | scales for slot, scales in zip(weights, last, strict=True)]
        if self.let is not None:
            weights.append({"let/kernel": tf.convert_to_tensor(self.let)})
        outputs, moments = mixed_layer(
            tuple(inputs),
            [slot for slot in weights for _ in range(self._runs)],
            [block for block in self._blocks for _ in range(self._runs)],
            recompute=recompute,
        )
        first = 0
        for group in self._groups:
            last = first + self._runs * group.size
            group.follow(moments[first:last])
            first = last
        if self._project_bn is not None:
            self._project_bn.follow([run["project_bn"] for run in moments[:first]])
        return outputs

    def by_slot(self, runs: tf.Tensor) -> tf.Tensor:
        """Return the positions of runs, given by number, in the layer's outputs."""
        return tf.gather(tf.constant(np.argsort(self.runs_of_slots), tf.int32), runs)

    def choice_weights(self, gene: int) -> dict[str, np.ndarray]:
        """Return a choice's weights by their names in the stand-alone model with LETs, such as "expand_conv/kernel"."""
        slot = self.order.index(gene)
        if slot == len(self._places):
            return {"let/kernel": as_convolution("let/kernel", self.let.numpy())}
        group, place = self._places[slot]
        return self._groups[group].slot_weights(place) | bn_weights(self._project_bn, slot, "project_bn")
