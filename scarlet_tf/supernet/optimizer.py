"""SGD with momentum and L2 as PyTorch defines them (FairNAS's settings), and dynamic loss scaling for float16."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from scarlet_tf.runs.background import snapshot
from scarlet_tf.supernet.mixed import new_variable, variable_key

FIRST_SCALE = 2.0**15
STEADY_STEPS = 2000  # finite steps after which the scale is doubled


class LossScale:
    """The factor by which a float16 loss is scaled, so that small gradients do not underflow.

    Source: Micikevicius et al., "Mixed Precision Training", section 3.2.

    A step whose gradients overflow is skipped and halves the scale; STEADY_STEPS finite steps in a row double it.
    """

    def __init__(self) -> None:
        self.scale = new_variable(np.float32(FIRST_SCALE), "loss_scale", trainable=False)
        self.steady = new_variable(np.float32(0), "loss_scale_steady", trainable=False)

    def guard(self, gradients: Sequence[tf.Tensor], update: Callable[[list[tf.Tensor]], None]) -> None:
        """Unscale the gradients and pass them to `update`, unless one is not finite; then adjust the scale."""
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
        scale, steady = tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.steady)

        def take() -> tf.Tensor:
            update([g / scale for g in gradients])
            return finite

        tf.cond(finite, take, lambda: finite)
        longer = tf.where(finite, steady + 1.0, 0.0)
        grown = tf.where(longer >= STEADY_STEPS, scale * 2.0, scale)
        # By handle: every replica has the same gradients, so each sets its own copy.
        for variable, value in (
            (self.scale, tf.where(finite, grown, tf.maximum(scale / 2.0, 1.0))),
            (self.steady, tf.where(longer >= STEADY_STEPS, 0.0, longer)),
        ):
            tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)

    def state(self) -> dict[str, np.ndarray]:
        return {variable_key(variable): snapshot(variable) for variable in (self.scale, self.steady)}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for variable in (self.scale, self.steady):
            variable.assign(arrays[variable_key(variable)])


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
        if self.loss_scale:
            self.loss_scale.guard(gradients, lambda unscaled: self._update(unscaled, learning_rate))
        else:
            self._update(gradients, learning_rate)

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
