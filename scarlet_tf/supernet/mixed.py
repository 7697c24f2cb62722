"""One searchable layer of the supernet: all 13 choices, each on its own path's activations.

The inverted residual choices of one expansion have weights of one shape, so they are stored stacked: fewer variables to
update and to save. A choice's place in the stack is its slot: per expansion first the three kernels without SE, then
the three with SE, then the LET. Everything outside speaks of choices (Table 1). The choices run one after the other,
each on maps of its own: what is stacked would have to be copied, and would not stay in a CPU's caches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.arch.space import EXPANSIONS, IDENTITY, KERNELS, choice_index
from scarlet_tf.choices import require_known
from scarlet_tf.layers import BatchNorm
from scarlet_tf.supernet.blocks import BlockMoments, GroupWeights, Scales, mixed_layer
from scarlet_tf.supernet.settings import LET_INITS

SLOT_CHOICES = (
    *(choice_index(expansion=e, kernel_size=k, se=se) for e in EXPANSIONS for se in (False, True) for k in KERNELS),
    IDENTITY,
)
CHOICE_SLOTS = tuple(int(slot) for slot in np.argsort(SLOT_CHOICES))
GROUP = 6  # slots of one expansion
BN_MOMENTUM = BatchNorm().momentum


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitConfig:
    """How a supernet's weights start.

    Attributes:
        let: "normal": N(0, sqrt(2/out)) as every convolution; "identity": ones on the diagonal, so that a LET first
            passes on what it gets.
        residual_gamma: gamma of the last BN of the blocks that have a shortcut; below 1 they start nearer to identity.
    """

    let: str = "identity"
    residual_gamma: float = 1.0

    def __post_init__(self) -> None:
        require_known("LET initialisation", self.let, LET_INITS)
        if not self.residual_gamma >= 0:
            raise ValueError(f"residual_gamma must be >= 0, got {self.residual_gamma!r}")


def new_variable(value: np.ndarray, name: str, *, trainable: bool = True) -> tf.Variable:
    """A float32 variable whose updates are the same on every replica, so one replica's value is kept."""
    return tf.Variable(
        np.asarray(value, np.float32),
        name=name,
        trainable=trainable,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def variable_key(variable: tf.Variable) -> str:
    """The name under which a checkpoint holds the variable."""
    return variable.name.split(":")[0]


def normal(rng: np.random.Generator, shape: tuple[int, ...], *, fan_out: int) -> np.ndarray:
    """Official initialisation N(0, sqrt(2/fan_out)), fan_out = k*k*out."""
    return rng.standard_normal(shape) * np.sqrt(2.0 / fan_out)


class BatchNormVariables:
    """gamma, beta and moving statistics of `slots` stacked batch normalisations; each (slots, channels)."""

    def __init__(self, slots: int, channels: int, name: str, *, gamma: np.ndarray | float = 1.0) -> None:
        shape = (slots, channels)
        self.gamma = new_variable(np.broadcast_to(gamma, shape), f"{name}/gamma")
        self.beta = new_variable(np.zeros(shape), f"{name}/beta")
        self.moving_mean = new_variable(np.zeros(shape), f"{name}/moving_mean", trainable=False)
        self.moving_variance = new_variable(np.ones(shape), f"{name}/moving_variance", trainable=False)

    def variables(self) -> list[tf.Variable]:
        return [self.gamma, self.beta, self.moving_mean, self.moving_variance]

    @property
    def scales(self) -> Scales:
        """gamma and beta, (slots, channels) each."""
        return tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)

    def follow(self, moments: Sequence[tf.Tensor]) -> None:
        """Moves the moving statistics towards those of every slot's batch, (2, C) each; one slot follows their mean."""
        batches = tf.stack(moments, axis=1)
        if self.moving_mean.shape[0] == 1 != len(moments):
            batches = tf.reduce_mean(batches, axis=1, keepdims=True)
        for moving, batch in zip((self.moving_mean, self.moving_variance), tf.unstack(batches), strict=True):
            moving.assign(moving * BN_MOMENTUM + batch * (1.0 - BN_MOMENTUM))


class ExpansionGroup:
    """The six inverted residual choices of one expansion in one layer, without their shortcut and last BN."""

    def __init__(self, expansion: int, inputs: int, outputs: int, *, stride: int, rng, name: str) -> None:
        hidden = inputs * expansion
        reduced = hidden // 4
        self.stride = stride
        self.expand = new_variable(normal(rng, (GROUP, inputs, hidden), fan_out=hidden), f"{name}/expand")
        self.expand_bn = BatchNormVariables(GROUP, hidden, f"{name}/expand_bn")
        self.depthwise = [
            new_variable(
                normal(rng, (kernel, kernel, hidden, 1), fan_out=kernel**2 * hidden), f"{name}/depthwise{slot}"
            )
            for slot, kernel in enumerate(KERNELS * 2)
        ]
        self.depthwise_bn = BatchNormVariables(GROUP, hidden, f"{name}/depthwise_bn")
        self.se_reduce = new_variable(normal(rng, (3, hidden, reduced), fan_out=reduced), f"{name}/se_reduce")
        self.se_reduce_bias = new_variable(np.zeros((3, reduced)), f"{name}/se_reduce_bias")
        self.se_expand = new_variable(normal(rng, (3, reduced, hidden), fan_out=hidden), f"{name}/se_expand")
        self.se_expand_bias = new_variable(np.zeros((3, hidden)), f"{name}/se_expand_bias")
        self.project = new_variable(normal(rng, (GROUP, hidden, outputs), fan_out=outputs), f"{name}/project")

    def variables(self) -> list[tf.Variable]:
        se = [self.se_reduce, self.se_reduce_bias, self.se_expand, self.se_expand_bias]
        norms = self.expand_bn.variables() + self.depthwise_bn.variables()
        return [self.expand, *self.depthwise, *se, self.project, *norms]

    def weights(self) -> GroupWeights:
        """What the weights are now."""
        se = (self.se_reduce, self.se_reduce_bias, self.se_expand, self.se_expand_bias)
        return GroupWeights(
            expand=tf.convert_to_tensor(self.expand),
            expand_bn=self.expand_bn.scales,
            depthwise=tuple(map(tf.convert_to_tensor, self.depthwise)),
            depthwise_bn=self.depthwise_bn.scales,
            se=tuple(map(tf.convert_to_tensor, se)),
            project=tf.convert_to_tensor(self.project),
        )

    def follow(self, moments: Sequence[BlockMoments]) -> None:
        """Moves the moving statistics, but for the last BN's."""
        self.expand_bn.follow([slot.expand for slot in moments])
        self.depthwise_bn.follow([slot.depthwise for slot in moments])

    def slot_weights(self, slot: int) -> dict[str, np.ndarray]:
        """One choice's weights as the stand-alone model names them, without the last BN."""
        se = slot - 3
        weights = {
            "expand_conv/kernel": self.expand[slot].numpy()[None, None],
            "depthwise_conv/kernel": self.depthwise[slot].numpy(),
            "project_conv/kernel": self.project[slot].numpy()[None, None],
        }
        weights |= bn_weights(self.expand_bn, slot, "expand_bn") | bn_weights(self.depthwise_bn, slot, "depthwise_bn")
        if se >= 0:
            weights |= {
                "se_reduce/kernel": self.se_reduce[se].numpy()[None, None],
                "se_reduce/bias": self.se_reduce_bias[se].numpy(),
                "se_expand/kernel": self.se_expand[se].numpy()[None, None],
                "se_expand/bias": self.se_expand_bias[se].numpy(),
            }
        return weights


def bn_weights(bn: BatchNormVariables, slot: int, name: str) -> dict[str, np.ndarray]:
    """One slot's BN as the stand-alone model names it."""
    fields = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"{name}/{field}": getattr(bn, field)[slot].numpy() for field in fields}


class MixedLayer:
    """All choices of one layer.

    Args:
        inputs, outputs, stride: as in the search space; in the supernet every choice takes `inputs` channels.
        identity: as in the search space. A plain identity is a LET that stays as it starts: ones on the diagonal.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int, identity: str, init: InitConfig, rng, name: str
    ) -> None:
        self.stride = stride
        self.shortcut = stride == 1 and inputs == outputs
        self.groups = [
            ExpansionGroup(expansion, inputs, outputs, stride=stride, rng=rng, name=f"{name}/e{expansion}")
            for expansion in EXPANSIONS
        ]
        gamma = init.residual_gamma if self.shortcut else 1.0
        self.project_bn = BatchNormVariables(2 * GROUP, outputs, f"{name}/project_bn", gamma=gamma)
        self.let = None
        if identity != "none":
            start = np.eye(inputs, outputs)
            if init.let == "normal":  # with a generator of its own, so that all other weights start as they do without
                start = normal(rng.spawn(1)[0], (inputs, outputs), fan_out=outputs)
            self.let = new_variable(start, f"{name}/let", trainable=identity == "let")

    def variables(self) -> list[tf.Variable]:
        groups = [variable for group in self.groups for variable in group.variables()]
        return [*groups, *self.project_bn.variables(), *([] if self.let is None else [self.let])]

    def __call__(self, inputs: Sequence[tf.Tensor], *, recompute: bool) -> list[tf.Tensor]:
        """Every slot on its own input, with batch statistics, which the moving ones follow.

        Args:
            inputs: 13 maps (B, H, W, in) in slot order; 12 without an identity.
            recompute: see `blocks.mixed_layer`.

        Returns:
            As many maps (B, H', W', out) in slot order.
        """
        outputs, moments = mixed_layer(
            tuple(inputs),
            tuple(group.weights() for group in self.groups),
            self.project_bn.scales,
            None if self.let is None else tf.convert_to_tensor(self.let),
            stride=self.stride,
            shortcut=self.shortcut,
            recompute=recompute,
        )
        for index, group in enumerate(self.groups):
            group.follow(moments[GROUP * index : GROUP * (index + 1)])
        self.project_bn.follow([block.project for block in moments])
        return outputs

    def choice_weights(self, choice: int) -> dict[str, np.ndarray]:
        """One choice's weights as the stand-alone model (LETs kept) names them, such as "expand_conv/kernel"."""
        if choice == IDENTITY:
            return {"let/kernel": self.let.numpy()[None, None]}
        slot = CHOICE_SLOTS[choice]
        group = self.groups[slot // GROUP].slot_weights(slot % GROUP)
        return group | bn_weights(self.project_bn, slot, "project_bn")
