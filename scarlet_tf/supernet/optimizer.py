"""SGD with momentum for the supernet's stacked variables (FairNAS's settings; PyTorch's form of momentum and L2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.supernet.mixed import new_variable, variable_key


class MomentumSgd:
    """v <- momentum*v + g + weight_decay*w;  w <- w - learning_rate*v.

    Weight decay is not applied to BN's gamma and beta, nor to biases. Under a strategy with several replicas the
    gradients are summed over them first, so every replica makes the same update.
    """

    def __init__(self, variables: Sequence[tf.Variable], *, momentum: float, weight_decay: float) -> None:
        self.variables = list(variables)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.velocities = [
            new_variable(np.zeros(v.shape), f"velocity/{variable_key(v)}", trainable=False) for v in variables
        ]

    def apply(self, gradients: Sequence[tf.Tensor], learning_rate: tf.Tensor) -> None:
        """One update, in a replica context."""
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        for variable, velocity, gradient in zip(self.variables, self.velocities, gradients, strict=True):
            if self.weight_decay and is_decayed(variable):
                gradient = gradient + self.weight_decay * variable
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle, accum=velocity.handle, lr=learning_rate, grad=gradient, momentum=self.momentum
            )

    def state(self) -> dict[str, np.ndarray]:
        return {variable_key(velocity): velocity.numpy() for velocity in self.velocities}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for velocity in self.velocities:
            velocity.assign(arrays[variable_key(velocity)])


def is_decayed(variable: tf.Variable) -> bool:
    """Whether weight decay applies: kernels yes, BN and biases no."""
    return "_bn/" not in variable.name and "bias" not in variable.name
