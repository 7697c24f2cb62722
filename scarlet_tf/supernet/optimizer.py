"""SGD with momentum and L2 as PyTorch defines them (FairNAS's settings)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.runs.background import snapshot
from scarlet_tf.runs.loss_scale import LossScale
from scarlet_tf.supernet.mixed import new_variable, variable_key


class MomentumSgd:
    """SGD with momentum: v <- momentum*v + g + weight_decay*w;  w <- w - learning_rate*v.

    Weight decay is not applied to gamma and beta of BN, nor to biases. With several replicas, the gradients are summed
    over them first, so that every replica makes the same update.

    Args:
        variables: the variables to update.
        loss_scale: if given, `apply` expects the gradients of the scaled loss and skips the update if they overflow.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        *,
        momentum: float,
        weight_decay: float,
        loss_scale: LossScale | None = None,
    ) -> None:
        self.variables = list(variables)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.loss_scale = loss_scale
        self.velocities = [
            new_variable(np.zeros(v.shape), f"velocity/{variable_key(v)}", trainable=False) for v in variables
        ]

    def apply(self, gradients: Sequence[tf.Tensor], learning_rate: tf.Tensor) -> None:
        """Make one update; to be called in a replica context."""
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        if not self.loss_scale:
            self._update(gradients, learning_rate)
            return
        gradients, finite = self.loss_scale.unscale(gradients)

        def update() -> tf.Tensor:
            self._update(gradients, learning_rate)
            return finite

        tf.cond(finite, update, lambda: finite)
        self.loss_scale.adjust(finite)

    def _update(self, gradients: Sequence[tf.Tensor], learning_rate: tf.Tensor) -> None:
        for variable, velocity, gradient in zip(self.variables, self.velocities, gradients, strict=True):
            if self.weight_decay and is_decayed(variable):
                gradient = gradient + self.weight_decay * variable
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle, accum=velocity.handle, lr=learning_rate, grad=gradient, momentum=self.momentum
            )

    def state(self) -> dict[str, np.ndarray]:
        velocities = {variable_key(velocity): snapshot(velocity) for velocity in self.velocities}
        return velocities | (self.loss_scale.state() if self.loss_scale else {})

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for velocity in self.velocities:
            velocity.assign(arrays[variable_key(velocity)])
        if self.loss_scale:
            self.loss_scale.load_state(arrays)


def is_decayed(variable: tf.Variable) -> bool:
    """Return whether weight decay applies to the variable: to kernels, but not to BN and biases."""
    return "_bn/" not in variable.name and "bias" not in variable.name
